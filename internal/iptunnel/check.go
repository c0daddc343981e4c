package iptunnel

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// CheckEnds refuses a tunnel whose ends are not two servers, or that its type cannot reach.
func (s Sort) CheckEnds(c *state.Cluster, _ string, n *state.Network) error {
	if len(n.Members) != 2 {
		return hint.Errorf("", "give it two members", "a tunnel has two ends, this one has %d", len(n.Members))
	}
	a, b := ground.ServerOf(n.Members[0]), ground.ServerOf(n.Members[1])
	if a == b {
		return hint.Errorf("server "+a, "name two servers", "a tunnel from %s to itself connects nothing", a)
	}
	if !s.GRE && n.Key != 0 {
		return hint.Errorf("", "flock addtunnel gre "+a+" "+b, "an %s tunnel has no key: GRE has", IPIP)
	}
	_, six, err := ground.NamedFamilies(c, n)
	if err != nil {
		return err
	}
	if six && !s.GRE {
		return hint.Errorf("", "flock addtunnel gre "+a+" "+b, "an %s tunnel has no IPv6 ends: it is IPv4 in IPv4", IPIP)
	}
	return ground.CheckFamily(c, n)
}

// CheckSubnets refuses subnets that a tunnel of the type has no use for.
func (s Sort) CheckSubnets(c *state.Cluster, _ string, n *state.Network) error {
	families := map[bool]bool{}
	for _, p := range n.Subnets {
		a := p.Addr()
		if err := ground.HostBits(p, netip.Prefix.String); err != nil {
			return hint.Pin(err, "subnet")
		}
		switch next := "two addresses of a private subnet" + ground.TunnelSpace.ExampleEnds(c, p); {
		case a.Is4In6() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || p.Bits() == 0:
			return hint.Errorf("subnet", next, "%s cannot be given to the ends of a tunnel", p)
		case p.Bits() == a.BitLen():
			return hint.Errorf("subnet", next, "%s has no room for two ends", p)
		case families[a.Is6()]:
			return hint.Errorf("", "one subnet for IPv4 and one for IPv6", "two %s subnets", ground.FamilyName(a.Is6()))
		case a.Is6() && !s.GRE:
			return hint.Errorf("", "a "+GRE+" tunnel carries both families", "an %s tunnel carries no IPv6", IPIP)
		}
		families[a.Is6()] = true
	}
	return nil
}

// Duplicate is the error of a tunnel that the kernel cannot tell from the one called other.
func (s Sort) Duplicate(n *state.Network, other string) error {
	if !s.GRE {
		return hint.Errorf("", "-l and -r with other addresses of the servers, or a "+GRE+" tunnel with a --key",
			"the tunnel %s has the same ends: the kernel cannot tell two %s tunnels between them apart", other, IPIP)
	}
	next := "--key with a number of its own"
	if n.Key != 0 {
		next = "--key with another number"
	}
	return hint.Errorf("", next, "the tunnel %s has the same ends and the same key: the kernel cannot tell the two apart", other)
}

// moduleDevices are the devices that the kernel's tunnel modules make by themselves
// in every network namespace.
var moduleDevices = []string{"gre0", "gretap0", "erspan0", "ip6gre0", "ip6gretap0", "ip6erspan0", "tunl0", "ip6tnl0", "sit0", "ip_vti0", "ip6_vti0"}

// Reserved says whether servers have a device of that name anyway.
func Reserved(device string) bool { return slices.Contains(moduleDevices, device) }
