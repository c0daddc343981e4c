//go:build linux

package agent

import (
	"net/netip"
	"os/exec"
	"reflect"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// ipTunnels are one tunnel of each kind, with its address and a route.
func ipTunnels() *spec.Host {
	h := &spec.Host{Cluster: "t", Store: "s", Server: "s1"}
	for i, l := range []spec.Link{
		{Name: "gre-a", Kind: spec.GRE, MTU: 1472, Tunnel: &spec.Tunnel{Local: addr("10.99.0.1"), Remote: addr("10.99.0.2"), Key: 7, TTL: 64}},
		{Name: "gre-six", Kind: spec.IP6GRE, MTU: 1452, Tunnel: &spec.Tunnel{Local: addr("fd99::1"), Remote: addr("fd99::2"), Key: 1<<32 - 1, TTL: 64}},
		{Name: "ipip-a", Kind: spec.IPIP, MTU: 1480, Tunnel: &spec.Tunnel{Local: addr("10.99.0.1"), Remote: addr("10.99.0.2"), TTL: 64}},
		{Name: "ipip-many", Kind: spec.IPIP, MTU: 1480, Tunnel: &spec.Tunnel{Local: addr("10.99.0.1")}},
	} {
		l.Network = "n"
		h.Links = append(h.Links, l)
		own := netip.AddrFrom4([4]byte{10, 0, 6, byte(4*i + 1)})
		h.Addrs = append(h.Addrs, spec.Addr{Link: l.Name, Prefix: netip.PrefixFrom(own, 30)})
		r := spec.Route{Dst: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 60, byte(i), 0}), 24), Dev: l.Name, Src: own, Proto: spec.RouteProto}
		if !l.Tunnel.Remote.IsValid() {
			r.Via, r.Onlink = addr("10.99.0.2"), true
		}
		h.Routes = append(h.Routes, r)
	}
	return h
}

// TestKernelWithoutIPTunnels runs on every kernel: a plan says what cannot be made, and
// only that.
func TestKernelWithoutIPTunnels(t *testing.T) {
	for kind, problem := range map[string]spec.Problem{
		spec.GRE:    {What: "the kernel has no GRE devices", Next: "modprobe ip_gre, or install the extra modules of the kernel"},
		spec.IP6GRE: {What: "the kernel has no GRE over IPv6 devices", Next: "modprobe ip6_gre, or install the extra modules of the kernel"},
		spec.IPIP:   {What: "the kernel has no IPIP devices", Next: "modprobe ipip, or install the extra modules of the kernel"},
	} {
		t.Run(kind, func(t *testing.T) {
			ownNet(t)
			var want []spec.Problem
			if !ipMakes(kind) {
				want = append(want, problem)
			}
			host := ipTunnels()
			for _, l := range host.Links {
				if l.Kind == kind {
					host = &spec.Host{Cluster: "t", Links: []spec.Link{l}}
					break
				}
			}
			k := open(t, "t", t.TempDir())
			before := listings(t)
			p, err := k.Plan(t.Context(), host)
			if err != nil || !reflect.DeepEqual(want, p.Problems) {
				t.Fatalf("want %v, have %v, %v", want, p.Problems, err)
			}
			if after := listings(t); after != before {
				t.Fatalf("to plan changed something: want\n%s\nhave\n%s", before, after)
			}
		})
	}
}

// ipMakes says whether ip-link(8) can make a link of kind here.
func ipMakes(kind string) bool {
	ends := "local 10.99.0.1 remote 10.99.0.77"
	if kind == spec.IP6GRE {
		ends = "local fd99::1 remote fd99::77"
	}
	return exec.Command("sh", "-c", "ip link add tried type "+kind+" "+ends+" && ip link del tried").Run() == nil
}
