package pool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// Allocate deals new members an id and a subnet of every pool: the one that was
// named for it (SERVER:CIDR), otherwise the first that is free.
func Allocate(n *state.Network, servers []string) error {
	ids := map[uint16]bool{}
	for _, a := range n.Allocated {
		ids[a.ID] = true
	}
	told, err := toldSubnets(n)
	if err != nil {
		return err
	}
	free := make([][]*prefix.Cutter, len(n.Subnets))
	for i, p := range n.Subnets {
		for _, q := range sameFamily(n, p) {
			free[i] = append(free[i], prefix.NewCutter(dealtSubnets(n), q, n.SubnetLens[i]))
		}
	}
	id := uint16(1)
	for _, server := range servers {
		was := ground.Former(n, server)
		a := &state.Allocation{ID: was.ID}
		if a.ID == 0 {
			for ids[id] && id < 65535 {
				id++
			}
			a.ID = id
		}
		for i, p := range n.Subnets {
			subnet, ok := told[server][p.Addr().Is6()]
			if !ok {
				subnet, ok = was.Subnets[i], was.Subnets[i].IsValid()
			}
			for j := 0; !ok && j < len(free[i]); j++ {
				subnet, ok = free[i][j].Next()
			}
			if !ok || was.ID == 0 && ids[a.ID] {
				return &FullError{p, n.SubnetLens[i], server}
			}
			a.Subnets = append(a.Subnets, subnet)
		}
		ids[a.ID] = true
		n.Allocated[server] = a
	}
	return nil
}

// FullError says that no pool of a network has a subnet left for a member.
type FullError struct {
	pool   netip.Prefix
	bits   int
	server string
}

func (f *FullError) Error() string {
	return fmt.Sprintf("the pool %s has no subnet of length %d left for %s", f.pool, f.bits, f.server)
}

// Next is the command that gives the network called name another pool.
func (f *FullError) Next(c *state.Cluster, name string) string {
	free, ok := ground.PoolSpace.Instead(c, f.pool)
	if !ok {
		return "take a member out that is needed no more: flock delnetwork " + name + " SERVER"
	}
	return "flock setnetwork " + name + " --add-pool " + free.String()
}

// toldSubnets are the subnets that members are named for, the first one per family.
func toldSubnets(n *state.Network) (map[string]map[bool]netip.Prefix, error) {
	out := map[string]map[bool]netip.Prefix{}
	for _, text := range n.Shares {
		s, err := state.ParseShare(text)
		if err != nil {
			return nil, err
		}
		if out[s.Server] == nil {
			out[s.Server] = map[bool]netip.Prefix{}
		}
		if _, twice := out[s.Server][s.Subnet.Addr().Is6()]; !twice {
			out[s.Server][s.Subnet.Addr().Is6()] = s.Subnet
		}
	}
	return out, nil
}

// dealtSubnets are those that members of a pool network have or were named for.
func dealtSubnets(n *state.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range n.Allocated {
		for _, p := range a.Subnets {
			if p.IsValid() {
				out = append(out, p)
			}
		}
	}
	for _, text := range n.Shares {
		if s, err := state.ParseShare(text); err == nil {
			out = append(out, s.Subnet)
		}
	}
	return out
}

// Fits says whether what a member was dealt lies in the pools, or was named for a
// member. Another --subnet-len holds for new members only.
func Fits(n *state.Network, a *state.Allocation) bool {
	if a.ID == 0 || len(a.Subnets) != len(n.Subnets) || len(a.Addrs) > 0 || len(a.Pool) > 0 || a.Mesh.IsValid() {
		return false
	}
	for i, p := range n.Subnets {
		if !FitsPart(n, p, a.Subnets[i]) {
			return false
		}
	}
	return true
}

// FitsPart says whether a member may have own as its part of pool p of n.
func FitsPart(n *state.Network, p, own netip.Prefix) bool {
	told := ":" + own.String()
	named := func(share string) bool { return strings.HasSuffix(share, told) }
	within := slices.ContainsFunc(sameFamily(n, p), func(p netip.Prefix) bool { return p.Bits() <= own.Bits() && p.Contains(own.Addr()) })
	return own.Addr().Is6() == p.Addr().Is6() && own == own.Masked() && (within || slices.ContainsFunc(n.Shares, named))
}

// sameFamily are the pools that members are dealt subnets of where they are dealt one of p.
func sameFamily(n *state.Network, p netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(ground.Pools(n), func(q netip.Prefix) bool {
		return q.Addr().Is6() != p.Addr().Is6() || q != p && slices.Contains(n.Subnets, q)
	})
}
