//go:build linux

package agent

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// diffHost has one object of every sort.
func diffHost() *spec.Host {
	p, a := netip.MustParsePrefix("10.0.4.0/24"), netip.MustParseAddr("10.0.4.1")
	return &spec.Host{
		Links: []spec.Link{
			{Name: "a-vx", Kind: spec.VXLAN, MAC: "m1", MTU: 1450, Master: "z0", Network: "n", Tunnel: &spec.Tunnel{VNI: 1, Port: 2, Local: netip.MustParseAddr("10.99.0.1")}},
			{Name: "z0", Kind: spec.Bridge, MAC: "m2", MTU: 1450, Network: "n"},
		},
		Addrs:    []spec.Addr{{Link: "z0", Prefix: p}},
		Routes:   []spec.Route{{Dst: p, Dev: "eth0", Proto: spec.RouteProto}},
		Neighs:   []spec.Neigh{{Link: "z0", IP: a, MAC: "m3"}},
		Floods:   []spec.Flood{{Link: "a-vx", To: spec.NewAddrSet(netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2"))}},
		Gateways: []spec.Gateway{{Bridge: "z0", Network: "n"}},
		NATs:     []spec.NAT{{Network: "n", Bridge: "z0", Subnet: p}},
		Forwards: []spec.Forward{{Network: "n", Link: "z0"}},
		Sysctls: []spec.Sysctl{
			{Key: "net/ipv6/conf/all/forwarding", Value: "1"}, {Key: "net/ipv6/conf/eth0/accept_ra", Value: "2"}, {Key: "net/ipv4/conf/z0/x", Value: "1", Link: "z0"},
		},
		DHCPs:     []spec.DHCP{{Network: "n", Bridge: "z0", Domain: "d"}},
		Envs:      []spec.SubnetEnv{{Network: "n", Pools: []netip.Prefix{p}, Subnets: []netip.Prefix{p}}},
		Unmanaged: []spec.Unmanage{{Links: []string{"z0", "a-vx"}}},
	}
}

func objects(ops []family.Op) []string {
	var out []string
	for _, s := range family.Steps(ops) {
		out = append(out, s.Action+" "+s.Object)
	}
	return out
}

func TestDiffOrder(t *testing.T) {
	full, empty := diffHost(), &spec.Host{}
	come := []string{
		"+ unmanaged", "+ link z0", "+ link a-vx", "+ sysctl net/ipv4/conf/z0/x", "+ addr 10.0.4.0/24 dev z0", "+ neigh 10.0.4.1 dev z0",
		"+ fdb 00:00:00:00:00:00 dst 10.99.0.2 dev a-vx", "+ gateway z0", "+ masquerade 10.0.4.0/24", "+ forward z0", "+ route 10.0.4.0/24",
		"+ sysctl net/ipv6/conf/eth0/accept_ra", "+ sysctl net/ipv6/conf/all/forwarding", "+ dhcp n", "+ subnet.env n",
	}
	if have := objects(Diff(full, empty)); !slices.Equal(come, have) {
		t.Errorf("from nothing: want %q, have %q", come, have)
	}
	gone := []string{
		"- subnet.env n", "- dhcp n", "- route 10.0.4.0/24", "- link a-vx", "- link z0", "- gateway z0", "- masquerade 10.0.4.0/24", "- forward z0",
		"- sysctl net/ipv6/conf/all/forwarding", "- sysctl net/ipv6/conf/eth0/accept_ra", "- unmanaged",
	}
	if have := objects(Diff(empty, full)); !slices.Equal(gone, have) {
		t.Errorf("to nothing: want %q, have %q", gone, have)
	}
	if ops := Diff(full, diffHost()); len(ops) != 0 {
		t.Errorf("the same: %q", objects(ops))
	}
}

// Removal of what stands on a link that stays; what routes lead to goes after them.
func TestDiffWithinALink(t *testing.T) {
	less := diffHost()
	less.Addrs, less.Neighs, less.Floods, less.Gateways, less.NATs, less.Forwards = nil, nil, nil, nil, nil, nil
	want := []string{
		"- addr 10.0.4.0/24 dev z0", "- gateway z0", "- masquerade 10.0.4.0/24", "- forward z0",
		"- fdb 00:00:00:00:00:00 dst 10.99.0.2 dev a-vx", "- neigh 10.0.4.1 dev z0",
	}
	if have := objects(Diff(less, diffHost())); !slices.Equal(want, have) {
		t.Errorf("want %q, have %q", want, have)
	}
}

func TestDiffLeavesItsArgumentsAlone(t *testing.T) {
	want, have := diffHost(), diffHost()
	have.Links = have.Links[1:]
	Diff(want, have)
	kept := diffHost()
	kept.Links = kept.Links[1:]
	if !reflect.DeepEqual(want.Links, diffHost().Links) || have.Text() != kept.Text() {
		t.Fatal("Diff changed its arguments")
	}
}

func TestDiffIgnoresOrder(t *testing.T) {
	want := diffHost()
	slices.Reverse(want.Links)
	slices.Reverse(want.Sysctls)
	if have := objects(Diff(want, &spec.Host{})); !slices.Equal(have, objects(Diff(diffHost(), &spec.Host{}))) {
		t.Fatalf("order matters: %q", have)
	}
}

// Packet filters that have no object of their own are named, too.
func TestDiffNamesGuards(t *testing.T) {
	have := &spec.Host{DHCPs: []spec.DHCP{{Network: "vx1"}}, NATs: []spec.NAT{{Network: "vx1", Bridge: "vxl0"}}}
	if have := objects(Diff(&spec.Host{DHCPs: have.DHCPs}, have)); !slices.Equal(have, []string{"- guard vxl0"}) {
		t.Fatalf("a guard of a former version before DNS: %q", have)
	}
	inner := spec.NAT{Network: "vpx", Bridge: "vpl0-vx"}
	links := []spec.Link{{Name: "vpl0-vx", Kind: spec.VXLAN}}
	if have := objects(Diff(&spec.Host{Links: links}, &spec.Host{Links: links, NATs: []spec.NAT{inner}})); !slices.Equal(have, []string{"~ guard vpl0-vx"}) {
		t.Errorf("a damaged guard inside a mesh: %q", have)
	}
}
