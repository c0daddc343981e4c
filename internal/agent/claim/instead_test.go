//go:build linux

package claim

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// What is taken is changed by the command of the network that has it.
func TestAdviceOnSubnetsIsTheNetworks(t *testing.T) {
	p := netip.MustParsePrefix
	on := func(kind, link string, list ...string) *spec.Host {
		h := &spec.Host{Server: "s1", Links: []spec.Link{{Name: link, Network: "n", Kind: kind}}}
		for _, a := range list {
			h.Addrs = append(h.Addrs, spec.Addr{Link: link, Prefix: p(a)})
			h.Claims = append(h.Claims, spec.Claim{Network: "n", Prefix: p(a).Masked()})
		}
		return h
	}
	pool := &spec.Host{Envs: []spec.SubnetEnv{{Network: "n"}}, Links: []spec.Link{{Name: "t", Network: "n", Kind: spec.IPIP}}}
	mesh := on(spec.WireGuard, "wg-n", "10.0.8.1/24")
	mesh.Links = append(mesh.Links, spec.Link{Name: "vpl0", Network: "n", Kind: spec.Bridge})
	mesh.Addrs = append(mesh.Addrs, spec.Addr{Link: "vpl0", Prefix: p("10.0.4.1/24")})
	for _, c := range []struct {
		name   string
		want   *spec.Host
		claim  spec.Claim
		advice string
	}{
		{"a bridge", on(spec.Bridge, "vxl0", "10.0.4.1/24"), spec.Claim{Network: "n", Prefix: p("10.0.4.0/24")}, "flock setnetwork n -s 10.20.4.0/24"},
		{"of both families", on(spec.Bridge, "vxl0", "10.0.4.1/24", "fd00:4::1/64"), spec.Claim{Network: "n", Prefix: p("10.0.4.0/24")}, "flock setnetwork n -s 10.20.4.0/24 -s fd00:4::/64"},
		{"wireguard", on(spec.WireGuard, "wg-n", "10.0.8.1/24"), spec.Claim{Network: "n", Prefix: p("10.0.8.0/24")}, "flock setnetwork n -s 10.20.4.0/24"},
		{"a pool", pool, spec.Claim{Network: "n", Prefix: p("10.244.0.0/16")}, "flock setnetwork n -s 10.20.0.0/16"},
		{"a tunnel", on(spec.GRE, "gre-a", "10.0.6.1/30"), spec.Claim{Network: "n", Prefix: p("10.0.6.0/30")}, "flock setnetwork n --addresses A/30,B/30"},
		{"the mesh of l2", mesh, spec.Claim{Network: "n", Prefix: p("10.0.8.0/24")}, "flock apply -f FILE, with another mesh there"},
		{"the segment of l2", mesh, spec.Claim{Network: "n", Prefix: p("10.0.4.0/24")}, "flock setnetwork n -s 10.20.4.0/24"},
		{"another's share", on(spec.WireGuard, "wg-n", "10.0.8.1/24"), spec.Claim{Network: "n", Prefix: p("10.0.11.0/24"), Shared: true}, "share another subnet"},
		{"a share by force", on(spec.WireGuard, "wg-n", "10.0.8.1/24"), spec.Claim{Network: "n", Prefix: p("10.0.11.0/24")}, "share another subnet"},
		{"the server's own", &spec.Host{Server: "s1"}, spec.Claim{Network: "subnet", Prefix: p("10.1.1.0/24")}, "flock setsubnet s1 10.20.4.0/24"},
		{"on another's bridge", &spec.Host{Server: "s1", Adopted: []spec.Addr{{Link: spec.LXCBridge}}}, spec.Claim{Network: "subnet", Prefix: p("10.1.1.0/24")}, "flock setsubnet s1 10.20.4.0/24 --adopt lxcbr0"},
	} {
		if have := adviseSubnet(c.want, c.claim, nil); have != c.advice {
			t.Errorf("%s: want %q, have %q", c.name, c.advice, have)
		}
	}
}
