package ground

import (
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// CheckMoves refuses that addresses of members' interfaces move (Moves) where they cannot: in
// networks of other kinds than kind, and where frames have a tag.
func CheckMoves(n *state.Network, kind string) error {
	const key = "move-addresses"
	for _, server := range n.Moves {
		switch {
		case n.Type != kind:
			return hint.Errorf(key, "leave it away, or a network of the type "+kind, "a %s network leaves the members' interfaces as they are", n.Type)
		case n.VLAN != 0:
			return hint.Errorf(key, "leave it away", "with a VLAN the interface keeps its addresses: frames with the tag alone are the network's")
		case len(n.Subnets) > 0:
			return hint.Errorf(key, "leave -s away: who hands out addresses on the wire does", "a bridge that takes over an interface's addresses has no subnet of flock's")
		case !HasMember(n, server):
			return hint.Errorf(key, "the name of a member's server", "%s is no member", server)
		}
	}
	return nil
}

// GoBy has what would leave by a port that gave its addresses away leave by its bridge.
func GoBy(port, bridge string, hosts ...*spec.Host) {
	for _, h := range hosts {
		if h == nil { // nobody asked
			continue
		}
		for i := range h.Routes {
			if h.Routes[i].Dev == port {
				h.Routes[i].Dev = bridge
			}
		}
		for _, l := range h.Links {
			if l.Tunnel != nil && l.Tunnel.Dev == port && l.Kind != spec.VLAN {
				l.Tunnel.Dev = bridge
			}
		}
	}
}
