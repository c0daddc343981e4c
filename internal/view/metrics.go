package view

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// metrics is text in Prometheus's exposition format, version 0.0.4.
type metrics struct{ bytes.Buffer }

// label is one of a sample.
type label struct{ name, value string }

// family begins a family of samples; all of them follow.
func (m *metrics) family(name, kind, help string) {
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// labelValue escapes what the format asks for: backslash, quotation mark and line feed.
var labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample is one line of the family that was begun last.
func (m *metrics) sample(name string, value float64, labels ...label) {
	m.WriteString(name)
	for i, l := range labels {
		m.WriteByte("{,"[min(i, 1)])
		m.WriteString(l.name + `="` + labelValue.Replace(l.value) + `"`)
	}
	if len(labels) > 0 {
		m.WriteByte('}')
	}
	m.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// PrintMetrics prints what status saw as metrics for Prometheus.
func (a *Page) PrintMetrics(out *change.Outcome, now time.Time) error {
	_, err := a.Out.Write(Metrics(out, now))
	return err
}

// Metrics are the servers that status looked at, and their networks, in Prometheus's
// text format (version 0.0.4).
func Metrics(out *change.Outcome, now time.Time) []byte {
	var m metrics
	m.servers(out)
	m.paths(out)
	m.dhcp(out)
	m.wireguard(out)
	m.bgp(out)
	if out.Cluster != nil {
		m.family("flock_cluster_generation", "gauge", "Generation of the cluster file.")
		m.sample("flock_cluster_generation", float64(out.Cluster.Generation))
	}
	m.family("flock_status_time_seconds", "gauge", "When the servers were looked at, in seconds since 1970.")
	m.sample("flock_status_time_seconds", float64(now.Unix()))
	return m.Bytes()
}

func (m *metrics) servers(out *change.Outcome) {
	m.family("flock_server_state", "gauge", "1 for the state that flock status sees the server in, 0 for the others.")
	for _, s := range out.Servers {
		for _, state := range serverStates() {
			m.sample("flock_server_state", truth(s.State == state), label{"server", s.Name}, label{"state", state})
		}
	}
	m.family("flock_server_differences", "gauge", "What flock apply would change on the server, in steps.")
	for _, s := range out.Servers {
		if s.Err == nil && s.Plan != nil {
			m.sample("flock_server_differences", float64(len(s.Plan.Steps)), label{"server", s.Name})
		}
	}
}

// paths counts, of each network that was looked at, the paths between members on which
// nothing came through.
func (m *metrics) paths(out *change.Outcome) {
	if out.Cluster == nil {
		return
	}
	silent := map[string]int{}
	for _, path := range out.Deaf {
		silent[path.Network]++
	}
	m.family("flock_network_silent_paths", "gauge", "Paths between members of the network without an answer.")
	for _, name := range lookedAt(out) {
		m.sample("flock_network_silent_paths", float64(silent[name]), label{"network", name})
	}
}

// lookedAt are the networks with members among the servers that answered, by name.
func lookedAt(out *change.Outcome) []string {
	of := ground.Memberships(out.Cluster)
	var names []string
	for _, s := range out.Servers {
		if s.Plan != nil {
			names = append(names, of[s.Name]...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (m *metrics) dhcp(out *change.Outcome) {
	for _, f := range []struct {
		name, help string
		of         func(spec.PoolUse) int
	}{
		{"flock_dhcp_addresses", "IPv4 addresses that the server hands out in the network.", func(u spec.PoolUse) int { return u.Size }},
		{"flock_dhcp_leases", "Those that are leased.", func(u spec.PoolUse) int { return u.Used }},
	} {
		m.family(f.name, "gauge", f.help)
		for _, s := range out.Servers {
			if s.Plan == nil {
				continue
			}
			for _, use := range s.Plan.Pools {
				m.sample(f.name, float64(f.of(use)), label{"server", s.Name}, label{"network", use.Network})
			}
		}
	}
}

func (m *metrics) wireguard(out *change.Outcome) {
	for _, f := range []struct {
		name, kind, help string
		of               func(spec.Session) float64
	}{
		{"flock_wireguard_handshake_time_seconds", "gauge", "Last handshake with the peer, in seconds since 1970; 0: there was none.", handshakeTime},
		{"flock_wireguard_received_bytes_total", "counter", "Bytes received from the peer.", func(p spec.Session) float64 { return float64(p.Received) }},
		{"flock_wireguard_sent_bytes_total", "counter", "Bytes sent to the peer.", func(p spec.Session) float64 { return float64(p.Sent) }},
	} {
		m.family(f.name, f.kind, f.help)
		for _, s := range out.Servers {
			if s.Plan == nil {
				continue
			}
			for _, p := range s.Plan.Sessions {
				m.sample(f.name, f.of(p), label{"server", s.Name}, label{"device", p.Link},
					label{"peer", keyOwner(out.Cluster, p.Key)}, label{"public_key", p.Key})
			}
		}
	}
}

func handshakeTime(p spec.Session) float64 {
	if p.Handshake.IsZero() {
		return 0
	}
	return float64(p.Handshake.Unix())
}

func (m *metrics) bgp(out *change.Outcome) {
	for _, f := range []struct {
		name, help string
		of         func(spec.BGPNeighborStatus) float64
	}{
		{"flock_bgp_session_up", "1 if the session with the neighbour is established.", func(n spec.BGPNeighborStatus) float64 { return truth(n.State == spec.BGPEstablished) }},
		{"flock_bgp_received_prefixes", "Prefixes that the neighbour announces.", func(n spec.BGPNeighborStatus) float64 { return float64(n.Received) }},
		{"flock_bgp_accepted_prefixes", "Those of them that the filters permit.", func(n spec.BGPNeighborStatus) float64 { return float64(n.Accepted) }},
		{"flock_bgp_sent_prefixes", "Prefixes announced to the neighbour.", func(n spec.BGPNeighborStatus) float64 { return float64(n.Sent) }},
	} {
		m.family(f.name, "gauge", f.help)
		for _, s := range out.Servers {
			if s.BGP == nil {
				continue
			}
			for _, n := range s.BGP.Neighbors {
				m.sample(f.name, f.of(n), label{"server", s.Name}, label{"network", s.BGP.Network},
					label{"neighbor", n.Addr.String()}, label{"name", n.Name})
			}
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
