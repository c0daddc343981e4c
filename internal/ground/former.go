package ground

import (
	"net/netip"

	"github.com/flocknet/flock/internal/state"
)

// Former is what a member was dealt and keeps while n deals to it again, nothing for a new
// one: Addrs and Subnets have a place for each subnet of n, which is zero where something
// has to be dealt.
func Former(n *state.Network, server string) state.Allocation {
	if a := n.Allocated[server]; a != nil {
		return *a
	}
	return state.Allocation{Addrs: make([]netip.Addr, len(n.Subnets)), Subnets: make([]netip.Prefix, len(n.Subnets))}
}
