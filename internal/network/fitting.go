package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/pool"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
)

// fitting is what a member was dealt and may have in n still, after n was given another
// subnet or way to hand out addresses: its number, key, addresses and subnets, as
// ground.Former has them.
func fitting(n *state.Network, a *state.Allocation) *state.Allocation {
	out := &state.Allocation{ID: a.ID, Key: a.Key, Pool: a.Pool, Docker: a.Docker}
	fitsOwn := func(p netip.Prefix, a netip.Addr) bool { return p.Contains(a) && a != p.Addr() }
	if meaning(n).segment {
		fitsOwn = func(p netip.Prefix, a netip.Addr) bool { return segment.FitsOwn(n, p, a) }
	}
	for _, p := range n.Subnets {
		var addr netip.Addr
		if at := slices.IndexFunc(a.Addrs, func(a netip.Addr) bool { return fitsOwn(p, a) }); at >= 0 {
			addr = a.Addrs[at]
		}
		var subnet netip.Prefix
		if at := slices.IndexFunc(a.Subnets, func(own netip.Prefix) bool { return pool.FitsPart(n, p, own) }); at >= 0 {
			subnet = a.Subnets[at]
		}
		out.Addrs, out.Subnets = append(out.Addrs, addr), append(out.Subnets, subnet)
	}
	if n.Mesh.IsValid() && mesh.Fits([]netip.Prefix{n.Mesh}, []netip.Addr{a.Mesh}) {
		out.Mesh = a.Mesh
	}
	if !segment.FitsBlocks(n, out.Pool) {
		out.Pool = nil
	}
	return out
}
