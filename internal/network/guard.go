package network

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/spec"
)

// closeBGP keeps all but neighbours from h's BGP speaker.
func closeBGP(h *spec.Host) {
	if h.BGP == nil {
		return
	}
	d := spec.Door{Network: h.BGP.Network, Port: spec.BGPPort}
	for _, n := range h.BGP.Neighbors {
		d.From = append(d.From, n.Addr.WithZone(""))
	}
	slices.SortFunc(d.From, netip.Addr.Compare)
	d.From = slices.Compact(d.From)
	behind := slices.Clone(h.BGP.Prefixes)
	for _, g := range h.Guards {
		behind = append(behind, g.Subnets...)
	}
	d.Behind = prefix.Aggregate(behind)
	h.Doors = append(h.Doors, d)
}
