package view

import (
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// watched is a cluster of three: one is well, one differs, one is off.
func watched() *change.Outcome {
	at := time.Unix(1_700_000_000, 0)
	return &change.Outcome{
		Cluster: &state.Cluster{Generation: 7, Networks: map[string]*state.Network{
			"vx1": {Members: []string{"s1", "s2:eth1"}, Allocated: map[string]*state.Allocation{"s2": {Key: "KEY2="}}},
			"vx2": {Members: []string{"s3"}},
		}},
		Servers: []change.Server{
			{Name: "s1", State: Converged, Plan: &spec.Plan{
				Pools:    []spec.PoolUse{{Network: "vx1", Used: 3, Size: 240}},
				Sessions: []spec.Session{{Link: "wg0", Key: "KEY2=", Handshake: at, Received: 1 << 40, Sent: 5}, {Link: "wg0", Key: "other"}},
			}, BGP: &spec.BGPStatus{Network: "net", Neighbors: []spec.BGPNeighborStatus{
				{Addr: netip.MustParseAddr("fd00::1"), Name: "a\"\\\nb", State: spec.BGPEstablished, Received: 5, Accepted: 4, Sent: 3},
				{Addr: netip.MustParseAddr("10.0.0.9"), State: spec.BGPActive},
			}}},
			{Name: "s2", State: Drifted, Plan: &spec.Plan{Steps: []spec.Step{{Action: spec.Add, Object: "x"}, {Action: spec.Add, Object: "y"}}}},
			{Name: "s3", State: change.Unreachable, Err: errors.New("no answer")},
		},
		Deaf: []network.Path{{Network: "vx1", From: "s1", To: "s2"}},
	}
}

// Metrics are in the text format, version 0.0.4: a family is described once, before its
// samples, which stand together, no two of them alike.
func TestMetricsAreWellFormed(t *testing.T) {
	sample := regexp.MustCompile(`^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\["\\n])*",?)+)\})? (\S+)$`)
	family, described, seen := "", map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(Metrics(watched(), time.Unix(1_700_000_100, 0)))) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if described[family] {
				t.Errorf("%s is described twice", family)
			}
			described[family] = true
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if kind, _ := strings.CutPrefix(rest, family+" "); kind != "gauge" && kind != "counter" || (kind == "counter") != strings.HasSuffix(family, "_total") {
				t.Errorf("%q after the description of %s", line, family)
			}
			continue
		}
		part := sample.FindStringSubmatch(line)
		if part == nil || part[1] != family {
			t.Errorf("%q is no sample of %s", line, family)
			continue
		}
		if _, err := strconv.ParseFloat(part[3], 64); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if key := part[1] + part[2]; seen[key] {
			t.Errorf("%q is there twice", key)
		} else {
			seen[key] = true
		}
	}
}

// Metrics say what status does.
func TestMetricsSayWhatStatusDoes(t *testing.T) {
	have := string(Metrics(watched(), time.Unix(1_700_000_100, 0)))
	for _, want := range []string{
		`flock_server_state{server="s1",state="converged"} 1`, `flock_server_state{server="s1",state="unreachable"} 0`,
		`flock_server_state{server="s2",state="drifted"} 1`, `flock_server_state{server="s3",state="unreachable"} 1`,
		`flock_server_differences{server="s1"} 0`, `flock_server_differences{server="s2"} 2`,
		`flock_network_silent_paths{network="vx1"} 1`,
		`flock_dhcp_addresses{server="s1",network="vx1"} 240`, `flock_dhcp_leases{server="s1",network="vx1"} 3`,
		`flock_wireguard_handshake_time_seconds{server="s1",device="wg0",peer="s2",public_key="KEY2="} 1.7e+09`,
		`flock_wireguard_handshake_time_seconds{server="s1",device="wg0",peer="",public_key="other"} 0`,
		`flock_wireguard_received_bytes_total{server="s1",device="wg0",peer="s2",public_key="KEY2="} 1.099511627776e+12`,
		`flock_bgp_session_up{server="s1",network="net",neighbor="fd00::1",name="a\"\\\nb"} 1`,
		`flock_bgp_session_up{server="s1",network="net",neighbor="10.0.0.9",name=""} 0`,
		`flock_bgp_received_prefixes{server="s1",network="net",neighbor="fd00::1",name="a\"\\\nb"} 5`,
		`flock_cluster_generation 7`, `flock_status_time_seconds 1.7000001e+09`,
	} {
		if !strings.Contains(have, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, no := range []string{`differences{server="s3"`, `network="vx2"`} { // nothing is known of them
		if strings.Contains(have, no) {
			t.Errorf("%s is there, of a server that did not answer", no)
		}
	}
	if t.Failed() {
		t.Log(have)
	}
}
