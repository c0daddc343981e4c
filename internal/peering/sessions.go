package peering

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Who talks to whom: every member to every other, or all to the reflectors only.
// While one becomes the other both sorts of sessions are there, so that no route is
// ever without a speaker.

const (
	MeshMost      = 100 // members up to which a full mesh is reasonable
	FewReflectors = 2   // reflectors that a network should have at least
)

// CheckSessions refuses sessions that cannot be: reflectors in a mesh, or that are no members.
func CheckSessions(n *state.Network) error {
	list := []state.Sessions{{Mode: n.Mode, Reflectors: n.Reflectors}}
	if n.Before != nil {
		list = append(list, *n.Before)
	}
	for _, s := range list {
		if err := option.CheckMode(s.Mode); err != nil {
			return hint.Pin(err, "mode")
		}
		if s.Mode == state.Mesh && len(s.Reflectors) > 0 {
			return hint.Errorf("", "mode = \""+state.Reflector+"\", or leave reflectors away", "a full mesh has no reflectors")
		}
	}
	for _, r := range n.Reflectors {
		if !ground.HasMember(n, r) {
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
func (g *Group) neighbors(n *state.Network, s *Speaker) []spec.BGPNeighbor {
	families := g.families()
	orders := sessionsOf(n)
	var out []spec.BGPNeighbor
	for _, other := range g.All {
		talks := slices.ContainsFunc(orders, func(o state.Sessions) bool { return talk(o, s.Server, other.Server) })
		if other == s || !talks {
			continue
		}
		for _, six := range families {
			local, addr := s.addrOf(six), other.addrOf(six)
			if !local.IsValid() || !addr.IsValid() {
				continue
			}
			bfd := 0
			if s.reaches(addr) && other.reaches(local) {
				bfd = n.BFD
			}
			out = append(out, spec.BGPNeighbor{
				BFD: bfd, Addr: addr, Local: local, Name: other.Server, AS: n.AS,
				Client:      slices.ContainsFunc(orders, func(o state.Sessions) bool { return clientOf(o, s.Server, other.Server) }),
				NextHopSelf: slices.ContainsFunc(n.Externals, func(e state.External) bool { return e.Server == s.Server }),
			})
		}
	}
	return out
}

// Accepted is what the routers of a member are known to announce.
func Accepted(n *state.Network, server string) (out []netip.Prefix) {
	for _, e := range n.Externals {
		for _, text := range e.Accept {
			if r, err := ParseRule(text); err == nil && e.Server == server && r.Prefix.Bits() > 0 {
				out = append(out, r.Prefix)
			}
		}
	}
	return out
}

// isAnycast says whether a share is announced only while its member has it.
func isAnycast(n *state.Network, share string) bool {
	s, err := state.ParseShare(share)
	return err == nil && slices.Contains(n.Anycast, s.Subnet)
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
		origin := ground.ServerOf(text)
		if isAnycast(n, text) {
			continue // it may not have it
		}
		reflected := up(origin) && origin != to && talk(now, from, origin) && (clientOf(now, from, to) || clientOf(now, from, origin))
		// Reflectors, also those that are about to be none, have paths of their own, and
		// pass on none of two that they had from each other.
		if origin == from || reflected && !reflects(n, to) && !reflects(n, origin) {
			count++
		}
	}
	return count
}
