package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Who talks to whom: every member to every other, or all to the reflectors only.
// While one becomes the other both sorts of sessions are there, so that no route is
// ever without a speaker.

const (
	meshMost      = 100 // members up to which a full mesh is reasonable
	FewReflectors = 2   // reflectors that a network should have at least
)

func checkSessions(n *state.Network) error {
	list := []state.Sessions{{Mode: n.Mode, Reflectors: n.Reflectors}}
	if n.Before != nil {
		list = append(list, *n.Before)
	}
	for _, s := range list {
		if err := checkMode(s.Mode); err != nil {
			return hint.Pin(err, "mode")
		}
		if s.Mode == state.Mesh && len(s.Reflectors) > 0 {
			return hint.Errorf("", "mode = \""+state.Reflector+"\", or leave reflectors away", "a full mesh has no reflectors")
		}
	}
	for _, r := range n.Reflectors {
		if !HasMember(n, r) {
			return hint.Errorf("reflectors", "reflect by one of the members", "the reflector %s is not a member", r)
		}
	}
	return nil
}

// talk says whether members a and b have a session by s.
func talk(s state.Sessions, a, b string) bool {
	return s.Mode == state.Mesh || slices.Contains(s.Reflectors, a) || slices.Contains(s.Reflectors, b)
}

// clientOf says whether b is a client of the reflector a by s.
func clientOf(s state.Sessions, a, b string) bool {
	return slices.Contains(s.Reflectors, a) && !slices.Contains(s.Reflectors, b)
}

// sessionsOf are the orders that hold in n: that of now, and while it changes that of
// before.
func sessionsOf(n *state.Network) []state.Sessions {
	out := []state.Sessions{{Mode: n.Mode, Reflectors: n.Reflectors}}
	if n.Before != nil {
		out = append(out, *n.Before)
	}
	return out
}

func reflects(n *state.Network, server string) bool {
	return slices.ContainsFunc(sessionsOf(n), func(s state.Sessions) bool { return slices.Contains(s.Reflectors, server) })
}

// neighbors are the sessions that s has with members.
func (g *group) neighbors(n *state.Network, s *speaker) []spec.BGPNeighbor {
	families := g.families()
	orders := sessionsOf(n)
	var out []spec.BGPNeighbor
	for _, other := range g.all {
		talks := slices.ContainsFunc(orders, func(o state.Sessions) bool { return talk(o, s.server, other.server) })
		if other == s || !talks {
			continue
		}
		for _, six := range families {
			local, addr := s.addrOf(six), other.addrOf(six)
			if !local.IsValid() || !addr.IsValid() {
				continue
			}
			out = append(out, spec.BGPNeighbor{
				Addr: addr, Local: local, Name: other.server, AS: n.AS,
				Client:      slices.ContainsFunc(orders, func(o state.Sessions) bool { return clientOf(o, s.server, other.server) }),
				NextHopSelf: slices.ContainsFunc(n.Externals, func(e state.External) bool { return e.Server == s.server }),
			})
		}
	}
	return out
}

// routedBy lists the prefixes that BGP networks route over a WireGuard network, by server
// and the other end. WireGuard needs them as allowed addresses of the peer.
type routedBy map[[2]string][]netip.Prefix

// routedOver finds what BGP networks route over the network called mesh. WireGuard gives
// an address to one peer only: what a member shares goes to that member, and what is
// behind several members goes to the first of them.
func (b *builder) routedOver(mesh string) (routedBy, error) {
	out, taken := routedBy{}, map[string]map[netip.Prefix]bool{}
	add := func(at, to string, list []netip.Prefix) {
		if taken[at] == nil {
			taken[at] = map[netip.Prefix]bool{}
		}
		for _, p := range list {
			if !taken[at][p] {
				taken[at][p] = true
				out[[2]string{at, to}] = append(out[[2]string{at, to}], p)
			}
		}
	}
	in := func(server string, a netip.Addr) bool {
		o := overlayOf(b.c, server, a)
		return o != nil && o.network == mesh
	}
	for _, name := range b.c.NetworkNames() {
		n := b.c.Networks[name]
		if !meaning(n).BGP {
			continue
		}
		shares, err := sharesOf(n)
		if err != nil {
			return nil, err
		}
		var on []string
		for _, text := range n.Members {
			if m, err := state.ParseMember(text); err == nil && m.Addr.IsValid() && in(m.Server, m.Addr) {
				on = append(on, m.Server)
			}
		}
		for _, at := range on {
			for _, to := range on {
				if at != to {
					add(at, to, shares[to])
					add(at, to, accepted(n, to))
				}
			}
		}
	}
	b.routedByJoined(mesh, in, add)
	return out, nil
}

// routedByJoined adds what sessions between two BGP networks bring.
func (b *builder) routedByJoined(mesh string, in func(string, netip.Addr) bool, add func(at, to string, list []netip.Prefix)) {
	for _, name := range b.c.NetworkNames() {
		n := b.c.Networks[name]
		for _, e := range n.Externals {
			for _, to := range b.c.ServerNames() {
				if to == e.Server || !in(to, e.Address) || b.c.Networks[mesh].Allocated[e.Server] == nil {
					continue
				}
				for _, other := range Networks(b.c, to) {
					if other != name && meaning(b.c.Networks[other]).BGP {
						add(e.Server, to, sharedSubnets(b.c.Networks[other]))
					}
				}
				add(to, e.Server, sharedSubnets(n))
			}
		}
	}
}

// accepted is what the routers of a member are known to announce.
func accepted(n *state.Network, server string) (out []netip.Prefix) {
	for _, e := range n.Externals {
		for _, text := range e.Accept {
			if r, err := parseRule(text); err == nil && e.Server == server && r.Prefix.Bits() > 0 {
				out = append(out, r.Prefix)
			}
		}
	}
	return out
}

// Told is how many shared subnets a member of a BGP network hears of from another
// in their session as it is to be, at least, while those that are up says are up.
// What a reflector shares itself all hear from it; whether other reflectors pass it
// on depends on what these were to it before.
func Told(n *state.Network, to, from string, up func(server string) bool) int {
	now := state.Sessions{Mode: n.Mode, Reflectors: n.Reflectors}
	if !talk(now, to, from) {
		return 0
	}
	count := 0
	for _, text := range n.Shares {
		origin := ServerOf(text)
		reflected := up(origin) && origin != to && talk(now, from, origin) && (clientOf(now, from, to) || clientOf(now, from, origin))
		// Reflectors, also those that are about to be none, have paths of their own, and
		// pass on none of two that they had from each other.
		if origin == from || reflected && !reflects(n, to) && !reflects(n, origin) {
			count++
		}
	}
	return count
}
