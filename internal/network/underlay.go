package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// Devices returns the underlay devices and addresses that the networks of a
// server name, sorted: what to ask about when the server is contacted.
func Devices(c *state.Cluster, server string) []string {
	var out []string
	for _, name := range ground.Networks(c, server) {
		n := c.Networks[name]
		for _, text := range n.Members {
			if ground.ServerOf(text) != server {
				continue
			}
			m, err := ground.Wish(c, n, text)
			switch {
			case err != nil:
			case m.Interface != "":
				out = append(out, m.Interface)
			case m.Addr.IsValid() && overlayOf(c, server, m.Addr) == nil: // those of our own networks are known
				out = append(out, m.Addr.String())
				if u, err := ground.FindPlace(nil, known(c.Servers[server]), m, m.Addr.Is6()); err == nil {
					out = append(out, u.Dev) // it may have another address by now
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// known is s with facts, no matter whether it was contacted.
func known(s *state.Server) *state.Server {
	if s.Facts != nil {
		return s
	}
	return &state.Server{Facts: &state.Facts{}}
}

// underlays finds every member's place in the underlay. A server that was never
// contacted is left out (it has no place yet); one that was and does not have
// what the member asks for is a problem of that server.
func (b *builder) underlays(name string, n *state.Network) ([]ground.Underlay, error) {
	var members []state.Member
	for _, text := range n.Members {
		m, err := ground.Wish(b.Cluster, n, text)
		if err != nil {
			return nil, err
		}
		if s := b.Cluster.Servers[m.Server]; s != nil && s.Facts != nil {
			members = append(members, m)
		}
	}
	v6, err := b.Family(n, members)
	if err != nil {
		return nil, err
	}
	var out []ground.Underlay
	taken := make(map[netip.Addr]string, len(members))
	for _, m := range members {
		u, err := b.place(name, n, m, v6)
		if err != nil {
			b.Problem(m.Server, name, err)
			continue
		}
		// Behind routers of their own, two servers may have one address.
		elsewhere := meaning(n).Encrypted && (b.Cluster.Servers[m.Server].NAT || b.Cluster.Servers[m.Server].Endpoint != "")
		if other := taken[u.Addr]; other != "" && !elsewhere {
			b.Problem(m.Server, name, hint.Errorf("server "+m.Server, "name another address of it: "+m.Server+":ADDRESS",
				"%s has the same underlay address %s as %s", m.Server, u.Addr, other))
			continue
		}
		if !elsewhere {
			taken[u.Addr] = m.Server
		}
		b.Out.Places[ground.Membership{Server: m.Server, Network: name}] = ground.Place{Interface: u.Dev, Addr: u.Addr}
		out = append(out, u)
	}
	return out, nil
}

// place is m's underlay: a device of its server, or of one of our own networks, which
// need not be up yet, but is compiled.
func (b *builder) place(name string, n *state.Network, m state.Member, v6 bool) (ground.Underlay, error) {
	if m.Addr.IsValid() {
		if o := overlayOf(b.Cluster, m.Server, m.Addr); o != nil && o.Network != name {
			return b.placeIn(o, name, n, m)
		}
	}
	return ground.FindPlace(func() string { return joinCommand(name, n, m.Server) }, b.Cluster.Servers[m.Server], m, v6)
}

// placeIn is m's underlay in one of our own networks.
func (b *builder) placeIn(o *ground.Overlay, name string, n *state.Network, m state.Member) (ground.Underlay, error) {
	if o.Network == segment.SubnetNetwork { // compiled last, and its MTU is the kernel's
		return ground.Underlay{Server: m.Server, Dev: o.Dev, Addr: m.Addr, MTU: segment.BridgeMTU}, nil
	}
	for _, l := range b.Out.Hosts[m.Server].Links {
		if l.Name == o.Dev {
			return ground.Underlay{Server: m.Server, Dev: o.Dev, Addr: m.Addr, MTU: l.MTU}, nil
		}
	}
	if meaning(n).BGP { // it asks for no MTU
		return ground.Underlay{Server: m.Server, Dev: o.Dev, Addr: m.Addr}, nil
	}
	return ground.Underlay{}, hint.Errorf("server "+m.Server, "flock listnetworks "+o.Network,
		"%s stands in network %s on %s, and that is not there", name, o.Network, m.Server)
}

// stackedLast orders the networks: those whose addresses are the underlay of others
// come before these, others by name.
func stackedLast(c *state.Cluster) ([]string, error) {
	left := c.NetworkNames()
	below := make(map[string][]string, len(left))
	for _, name := range left {
		for _, text := range c.Networks[name].Members {
			if in := PlaceNetwork(c, name, text); in != "" {
				if in != segment.SubnetNetwork {
					below[name] = append(below[name], in)
				}
			}
		}
	}
	done, out := map[string]bool{}, make([]string, 0, len(left))
	for len(left) > 0 {
		var waiting []string
		for _, name := range left {
			if slices.ContainsFunc(below[name], func(o string) bool { return !done[o] }) {
				waiting = append(waiting, name)
				continue
			}
			out, done[name] = append(out, name), true
		}
		if len(waiting) == len(left) {
			return nil, hint.Errorf("network "+left[0], "give members of one of them other addresses",
				"%s carry each other: none of them can be first", strings.Join(left, ", "))
		}
		left = waiting
	}
	return out, nil
}
