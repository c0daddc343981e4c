package ground

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/state"
)

// Shares are container subnets behind members: the others get routes to them. They
// exist on the server that shares them, on whatever bridge.

// SharesOf returns what each member shares, in order.
func SharesOf(n *state.Network) (map[string][]netip.Prefix, error) {
	out := map[string][]netip.Prefix{}
	for _, text := range n.Shares {
		s, err := state.ParseShare(text)
		if err != nil {
			return nil, err
		}
		out[s.Server] = append(out[s.Server], s.Subnet)
	}
	for _, list := range out {
		slices.SortFunc(list, netip.Prefix.Compare)
	}
	return out, nil
}

// Widest is the prefix length of subnets that are shared on purpose only (--force), and no
// network's own: IPv6's whole Internet is a /3.
const Widest = 3

// PartOfAll says how much of its family p is, of widest at most.
func PartOfAll(p netip.Prefix) string {
	return [...]string{"all", "half", "a quarter", "an eighth"}[p.Bits()] + " of all addresses"
}

// IsForced says whether s was named with --force.
func IsForced(n *state.Network, s state.Share) bool {
	return len(n.Forced) > 0 && slices.Contains(n.Forced, s.String())
}
