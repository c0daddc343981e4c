package option

import (
	"fmt"
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

// CompleteLengths fills in how long the members' subnets are: /24 and /64, or what
// a smaller pool gives.
func CompleteLengths(n *state.Network) error {
	if len(n.SubnetLens) == 0 {
		for _, p := range n.Subnets {
			n.SubnetLens = append(n.SubnetLens, DefaultLength(p))
		}
	}
	if len(n.SubnetLens) != len(n.Subnets) {
		return hint.Errorf("subnet-len", "--subnet-len once per subnet, in their order", "%d subnets and %d lengths", len(n.Subnets), len(n.SubnetLens))
	}
	for i, p := range n.Subnets {
		longest := MaxSubnetLen4
		if p.Addr().Is6() {
			longest = MaxSubnetLen6
		}
		if bits := n.SubnetLens[i]; bits < p.Bits() || bits > longest {
			return hint.Errorf("subnet-len", fmt.Sprintf("--subnet-len with a number from %d to %d", p.Bits(), longest),
				"subnets of length %d cannot be cut out of the pool %s", bits, p)
		}
	}
	return nil
}

// CheckMore refuses further pools out of which no member could have a subnet.
func CheckMore(c *state.Cluster, n *state.Network) error {
	for _, p := range n.More {
		if err := ground.CheckSubnet(c, p, ground.PoolSpace); err != nil {
			return hint.Pin(err, "add-pool")
		}
		if err := ground.HostBits(p, ground.ByFlag); err != nil {
			return hint.Pin(err, "add-pool")
		}
		at := slices.IndexFunc(n.Subnets, func(q netip.Prefix) bool { return q.Addr().Is6() == p.Addr().Is6() })
		switch {
		case at < 0:
			return hint.Errorf("add-pool", "-s with all pools, the old and the new: it gives every member a second subnet",
				"%s adds %s to a network that has none", p, ground.FamilyName(p.Addr().Is6()))
		case p.Bits() > n.SubnetLens[at]:
			return hint.Errorf("add-pool", fmt.Sprintf("a pool of /%d or wider", n.SubnetLens[at]), "%s holds no subnet of length %d, as members have", p, n.SubnetLens[at])
		}
	}
	return nil
}
