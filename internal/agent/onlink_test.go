//go:build linux

package agent

import (
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// dualPool is a dual-stack pool's VXLAN device, with the routes to a member of two
// subnets and to another one either through it or plain.
func dualPool(packed bool) *spec.Host {
	h := &spec.Host{
		Cluster: "t", Store: "s", Server: "s1",
		Links: []spec.Link{{
			Name: "n1-vx", Network: "n1", Kind: spec.VXLAN, MAC: "6a:0a:00:00:00:01", MTU: 1430,
			Tunnel: &spec.Tunnel{VNI: 1, Port: 8472, Local: addr("10.99.0.1"), Static: true},
		}},
		Addrs: []spec.Addr{{Link: "n1-vx", Prefix: prefix("10.244.0.0/32")}, {Link: "n1-vx", Prefix: prefix("fd80::/128")}},
		Sysctls: []spec.Sysctl{
			{Key: "net/ipv6/conf/n1-vx/disable_ipv6", Value: "0", Link: "n1-vx"},
			{Key: "net/ipv6/conf/n1-vx/accept_dad", Value: "0", Link: "n1-vx"},
		},
	}
	for _, to := range []struct{ dst, own, plain string }{
		{"10.244.1.0/24", "10.244.1.0", "10.99.0.2"},
		{"fd80:0:0:1::/64", "fd80:0:0:1::", "fd99::2"},
		{"fd80:0:1::/48", "fd80:0:0:1::", "fd99::2"},
		{"fd80:0:0:2::/64", "fd80:0:0:2::", "fd99::3"},
	} {
		r := spec.Route{Dst: prefix(to.dst), Via: addr(to.plain), Dev: "eth0", Proto: spec.RouteProto}
		if packed {
			r.Via, r.Dev, r.Onlink = addr(to.own), "n1-vx", true
		}
		h.Routes = append(h.Routes, r)
	}
	return h
}

// TestOnlinkRoutesMove: the next hop of a route through the device is an address of the
// route's own destination, which a plain route leads elsewhere until then.
func TestOnlinkRoutesMove(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, dualPool(false))
	for range 2 {
		for _, packed := range []bool{true, false} {
			report := apply(t, k, dualPool(packed))
			if len(report.Steps) != 4 {
				t.Errorf("steps: want the four routes, have\n%s", stepText(report.Steps))
			}
			if left := sh(t, "ip -6 route show metric 70"); left != "" {
				t.Errorf("left behind: %s", left)
			}
		}
	}
	// What an agent that was killed in the middle leaves behind goes.
	sh(t, "ip -6 route add fd80:0:0:1:: dev n1-vx proto 70 metric 70")
	converge(t, k, dualPool(false), "- route fd80:0:0:1::/128")
	// Routes of others that lead to the next hop stay what they are.
	sh(t, "ip -6 route add fd80:0:0:1::/128 dev n1-vx proto 99")
	apply(t, k, dualPool(true))
	if have := sh(t, "ip -6 route show proto 99"); have == "" {
		t.Error("a route of somebody else's is gone")
	}
}

// TestNextHopsAfterTheirSubnets: a next hop is reached by a route that comes in the same
// apply, whatever order their names have.
func TestNextHopsAfterTheirSubnets(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	h := segment()
	h.Routes = []spec.Route{
		{Dst: prefix("10.50.0.0/24"), Via: addr("192.168.8.9"), Dev: "vxl0", Proto: spec.RouteProto},
		{Dst: prefix("192.168.8.0/24"), Dev: "vxl0", Proto: spec.RouteProto},
		{Dst: prefix("fd50::/64"), Via: addr("fdff::9"), Dev: "vxl0", Proto: spec.RouteProto},
		{Dst: prefix("fdff::/64"), Dev: "vxl0", Proto: spec.RouteProto},
	}
	apply(t, k, h)
}
