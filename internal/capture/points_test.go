package capture

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// With direct routing packets go by the tunnel and by the device below: both are taken.
func TestPointsOfDirectRouting(t *testing.T) {
	t.Parallel()
	at := ground.Membership{Server: "s1", Network: "n1"}
	c := &state.Cluster{
		Servers:  map[string]*state.Server{"s1": {Address: "10.99.0.1"}},
		Networks: map[string]*state.Network{"n1": {Members: []string{"s1"}, Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}},
	}
	compiled := &ground.Compiled{
		Hosts:  map[string]*spec.Host{"s1": {Server: "s1", Links: []spec.Link{{Name: "vx.1", Network: "n1"}}}},
		Places: map[ground.Membership]ground.Place{at: {Interface: "eth0"}},
	}
	for _, direct := range [][]string{nil, {"s2"}} {
		compiled.Direct = map[ground.Membership][]string{at: direct}
		list, err := Points(c, compiled, "n1", "icmp", 96, false)
		if err != nil || len(list) != 1+len(direct) {
			t.Fatal(list, err)
		}
		for i, p := range list {
			if want := []string{"s1:vx.1", "s1:eth0"}[i]; p.String() != want || p.Snap != 96 {
				t.Errorf("want %s, have %+v", want, p)
			}
		}
		if len(list) == 2 && len(list[1].Frames) <= len(list[0].Frames) {
			t.Error("of the device below, more than the network's packets are taken")
		}
	}
}

// A filter that names the port by which flock logs in is noticed.
func TestHides(t *testing.T) {
	t.Parallel()
	c := &state.Cluster{Servers: map[string]*state.Server{"s1": {}, "s2": {Port: 2222}}}
	for text, want := range map[string]uint16{
		"": 0, "port 22": 22, "tcp port 80 or 22": 22, "(port ssh)": 22, "portrange 2000-3000": 2222, "dst port 2222": 2222, "port 80": 0, "greater 22": 0, "ip proto 22": 0, "host 10.0.0.22": 0,
	} {
		if have := Hides(c, text); have != want {
			t.Errorf("%s: %d", text, have)
		}
	}
}
