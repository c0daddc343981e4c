//go:build linux

package agent

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// fullHost has something in every field that is to be on a server.
func fullHost() *spec.Host {
	h := diffHost()
	p, a := netip.MustParsePrefix("10.0.4.0/24"), netip.MustParseAddr("10.99.0.2")
	h.FDB = []spec.FDB{{Link: "a-vx", MAC: "m4", Dst: a}}
	h.Members = []spec.Member{{Link: "u0", Addr: a}}
	h.Peers = []spec.Peer{{Link: "w0", Key: "k"}}
	h.Guards = []spec.Guard{{Bridge: "z0", Network: "n"}}
	h.Doors = []spec.Door{{Network: "n", Port: spec.BGPPort}}
	h.Keeps = []spec.PreserveSource{{Network: "n", Subnet: p}}
	h.Attached = []spec.Attachment{{Container: "netns/c1", Interface: "eth1", Host: "flk-1", Network: "n", Bridge: "z0"}}
	h.Firewalld = []spec.Unmanage{{Links: []string{"z0"}}}
	h.UFW = []spec.Unmanage{{Links: []string{"z0"}}}
	h.Dockers = []spec.DockerNet{{Network: "n", Options: "bridge z0", Range: p}}
	h.Adopted = []spec.Addr{{Link: spec.LXCBridge, Prefix: p}}
	h.BGP = &spec.BGP{Network: "n", AS: 64512}
	return h
}

// TestEveryFieldIsAFamilys: what a spec says that a server is to hold is compared, comes
// and goes. A new field of spec.Host fails until a family has it.
func TestEveryFieldIsAFamilys(t *testing.T) {
	about := []string{"Cluster", "Store", "Server", "Generation", "Made", "Claims"} // and nothing to hold
	full := reflect.ValueOf(fullHost()).Elem()
	for i := range full.NumField() {
		name := full.Type().Field(i).Name
		if slices.Contains(about, name) {
			continue
		}
		if full.Field(i).IsZero() {
			t.Errorf("%s: fullHost has none", name)
			continue
		}
		alone := &spec.Host{}
		reflect.ValueOf(alone).Elem().Field(i).Set(full.Field(i))
		if len(Diff(alone, &spec.Host{})) == 0 {
			t.Errorf("%s: no family adds it", name)
		}
		if len(Diff(&spec.Host{}, alone)) == 0 {
			t.Errorf("%s: no family removes it", name)
		}
		if len(Diff(alone, alone)) != 0 {
			t.Errorf("%s: it differs from itself", name)
		}
	}
}

// Every op can be carried out, in exactly one way, and is its family's.
func TestFamiliesAreWhole(t *testing.T) {
	for i, f := range families {
		ways := 0
		for _, there := range []bool{f.One != nil, f.Batch != nil, f.All != nil} {
			if there {
				ways++
			}
		}
		if f.What == "" || f.Observe == nil || f.Diff == nil || ways != 1 {
			t.Errorf("family %d (%s) is not whole", i, f.What)
		}
	}
	seen := map[int]bool{}
	for _, op := range Diff(fullHost(), &spec.Host{}) {
		seen[op.Family] = true
	}
	if len(seen) != len(families) {
		t.Errorf("of %d families, %d have ops", len(families), len(seen))
	}
}
