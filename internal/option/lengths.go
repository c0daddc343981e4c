package option

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// The longest prefixes that members of a pool network are dealt.
const (
	MaxSubnetLen4 = 30 // a gateway and one container
	MaxSubnetLen6 = ground.MinBits6
)

// DefaultLength is the prefix length of what members are dealt of a pool, where nobody names
// another.
func DefaultLength(pool netip.Prefix) int {
	if pool.Addr().Is6() {
		if pool.Bits() < 64 {
			return 64
		}
		return min(pool.Bits()+16, MaxSubnetLen6)
	}
	if pool.Bits() < 24 {
		return 24
	}
	return min(pool.Bits()+2, MaxSubnetLen4)
}

// assignLengths takes the lengths as they were typed: one per subnet in order; a single
// one for two subnets is meant for the family that it suits better.
func assignLengths(n *state.Network, value any) error {
	lengths, _ := value.([]int)
	switch {
	case len(lengths) == 0 || len(lengths) == len(n.Subnets):
		n.SubnetLens = slices.Clone(lengths)
	case len(lengths) == 1 && len(n.Subnets) == 0:
		n.SubnetLens = slices.Clone(lengths)
	case len(lengths) == 1:
		for _, p := range n.Subnets {
			length := DefaultLength(p)
			if p.Addr().Is6() == (lengths[0] > MaxSubnetLen4) {
				length = lengths[0]
			}
			n.SubnetLens = append(n.SubnetLens, length)
		}
	default:
		return hint.Errorf("", "--subnet-len once per -s, in their order", "%d subnets and %d lengths", max(len(n.Subnets), 1), len(lengths))
	}
	return nil
}
