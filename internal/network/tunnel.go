package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/iptunnel"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Types of tunnels.
const (
	GRE  = iptunnel.GRE
	IPIP = iptunnel.IPIP // also a kind of pool network (ipip.go)
)

// TunnelTypes are the types that a tunnel can have.
func TunnelTypes() []string { return namesOf(func(k *Kind) bool { return k.Tunnel }) }

// tunnelCommands are those of tunnels, which have the same two ends for good.
var tunnelCommands = commands{leave: "flock deltunnel NAME", remove: "flock deltunnel NAME", unshare: "flock delnetwork NAME subnet SHARE"}

func greKind() *Kind        { return tunnelKind(GRE, "GRE", "IP protocol 47") }
func ipipTunnelKind() *Kind { return tunnelKind(IPIP, "IPIP", protocol4) }

// tunnelKind is the kind of the tunnels of a type.
func tunnelKind(name, wire, passes string) *Kind {
	return &Kind{
		Name: name, wire: wire, passes: passes, takes: []string{"subnet", "mtu", "shares", "tunnel", "key", "ttl"}, Tunnel: true,
		lacks:   []lack{{[]string{"port", "interface"}, "leave away: port, interface", "a tunnel has neither a port nor an interface of its own"}},
		Command: "flock addtunnel " + name + " SERVER1 SERVER2", columns: []string{"ADDRESS", "SHARED"}, space: &ground.TunnelSpace, commands: tunnelCommands,
		WithoutRole: func(n *state.Network, _, name, _ string) error { return twoEnds(n, name) }, NoRole: twoEnds,
		device: func(name string, _ *state.Network) string { return iptunnel.Device(name) },
		overlays: func(name string, n *state.Network, server string) []ground.Overlay {
			return []ground.Overlay{{Network: name, Dev: iptunnel.Device(name), Addrs: n.Allocated[server].Addrs, Within: n.Subnets}}
		},
		probe: func(p *pairs, from, to string) (spec.Probe, bool) {
			return between(iptunnel.Device(p.name), p.n.Allocated[from].Addrs, p.n.Allocated[to].Addrs, "")
		},
		complete: completeTunnel, allocate: iptunnel.Allocate, fits: iptunnel.Fits, compile: compileTunnel,
	}
}

// sortOf is what a tunnel can do.
func sortOf(n *state.Network) iptunnel.Sort { return iptunnel.Sort{GRE: n.Type == GRE} }

// twoEnds refuses to add an end to a tunnel, or to remove one.
func twoEnds(n *state.Network, name string) error {
	if len(n.Members) != 2 {
		return ground.OfNetwork(name, sortOf(n).CheckEnds(nil, name, n))
	}
	a, b := ground.ServerOf(n.Members[0]), ground.ServerOf(n.Members[1])
	return hint.Errorf("tunnel "+name, "flock addnetwork "+name+" subnet SERVER:CIDR, flock deltunnel "+name+", or another tunnel: flock addtunnel "+n.Type+" SERVER1 SERVER2",
		"%s is a tunnel between %s and %s: it has these two ends for good", name, a, b)
}

func completeTunnel(c *state.Cluster, name string, n *state.Network) error {
	n.Tunnel = true
	if len(n.Subnets) == 0 {
		p, err := ground.FreeSubnet(c, ground.TunnelSpace)
		if err != nil {
			return err
		}
		n.Subnets = []netip.Prefix{p}
	}
	for _, check := range []func(*state.Cluster, string, *state.Network) error{sortOf(n).CheckEnds, sortOf(n).CheckSubnets, checkTunnelDevice, checkDuplicates} {
		if err := check(c, name, n); err != nil {
			return err
		}
	}
	return checkMTU(n)
}

func checkTunnelDevice(c *state.Cluster, name string, n *state.Network) error {
	device := iptunnel.Device(name)
	if iptunnel.Reserved(device) || option.CheckIfName("", device) != nil || device == segment.SubnetBridge {
		return hint.Errorf("", "--name with another name", "%s is the name of a device that servers have anyway", device)
	}
	for other, o := range ground.OtherNetworks(c, name) {
		if !slices.Contains(devicesOf(other, o), device) {
			continue
		}
		for _, m := range n.Members {
			if ground.HasMember(o, ground.ServerOf(m)) {
				return hint.Errorf("", "--name with another name", "the device %s is network %s's on %s", device, other, ground.ServerOf(m))
			}
		}
	}
	return nil
}

// checkDuplicates refuses tunnels between the same ends that the kernel could not tell
// apart, as far as the file says where they end. The rest is duplicateOf'.
func checkDuplicates(c *state.Cluster, name string, n *state.Network) error {
	mine, err := endWishes(c, n)
	if err != nil {
		return err
	}
	for other, o := range ground.OtherNetworks(c, name) {
		if meaning(o) != meaning(n) || o.Key != n.Key || len(o.Members) != 2 {
			continue
		}
		theirs, err := endWishes(c, o)
		if err != nil {
			return err
		}
		if mine == theirs || mine == [2]state.Member{theirs[1], theirs[0]} {
			return sortOf(n).Duplicate(n, other)
		}
	}
	return nil
}

func endWishes(c *state.Cluster, n *state.Network) (out [2]state.Member, err error) {
	for i := range out {
		if out[i], err = ground.Wish(c, n, n.Members[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func compileTunnel(b *builder, name string, n *state.Network) error {
	places, err := b.underlays(name, n)
	if err != nil || len(places) != 2 {
		return err // a tunnel with one end leads nowhere
	}
	if places[0].Addr.Is6() && n.Type == IPIP {
		b.Problem(places[0].Server, name, hint.Errorf("server "+places[0].Server, "flock addtunnel "+GRE+" "+places[0].Server+" "+places[1].Server,
			"%s and %s reach each other by IPv6 alone, and an %s tunnel is IPv4 in IPv4", places[0].Server, places[1].Server, IPIP))
		return nil
	}
	if other := b.duplicateOf(name, n, places); other != "" {
		b.Problem(places[0].Server, name, hint.With(sortOf(n).Duplicate(n, other), "tunnel "+name, ""))
		return nil
	}
	ends, err := b.tunnelEnds(n, places)
	if err != nil {
		return err
	}
	b.shareProblems(name, ends)
	mtu, ok := b.tunnelMTU(name, n, places, sortOf(n).Overhead(n, places[0].Addr.Is6()))
	if !ok {
		return nil
	}
	for i, e := range ends {
		iptunnel.Add(b.Builder, name, n, e, ends[1-i], mtu)
	}
	return nil
}

// duplicateOf finds a network that n cannot be told apart from where it ends.
func (b *builder) duplicateOf(name string, n *state.Network, places []ground.Underlay) string {
	for _, other := range b.Cluster.NetworkNames() {
		o := b.Cluster.Networks[other]
		if other == name || o.Type != n.Type || o.Key != n.Key {
			continue
		}
		same := 0
		for _, u := range places {
			if p, ok := b.Out.Places[ground.Membership{Server: u.Server, Network: other}]; ok && p.Addr == u.Addr {
				same++
			}
		}
		if same == 2 {
			return other
		}
	}
	return ""
}

// tunnelEnds are the members of n with what is theirs.
func (b *builder) tunnelEnds(n *state.Network, places []ground.Underlay) ([]*mesh.End, error) {
	shares, err := ground.SharesOf(n)
	if err != nil {
		return nil, err
	}
	var out []*mesh.End
	for _, u := range places {
		a := n.Allocated[u.Server]
		if a == nil {
			return nil, fmt.Errorf("%s has no addresses: the cluster is not complete", u.Server)
		}
		out = append(out, &mesh.End{Underlay: u, Own: a.Addrs, Shares: shares[u.Server]})
	}
	return out, nil
}
