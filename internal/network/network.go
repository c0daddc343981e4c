// Package network owns what the network kinds mean: which options they take and
// with which defaults, what is dealt out to a member (addresses, VNIs, names),
// and Compile, the pure function from the cluster file to one spec per server.
//
// It refuses to touch anything: no file, clock, random source, kernel or
// connection. The same cluster gives the same bytes.
package network

import (
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/state"
)

// Kind is what one type of network means. There is one value per kind, in the
// table below, and one file per kind.
type Kind struct {
	// Complete fills in the defaults of a network that was just written down and
	// refuses options it does not have. It changes nothing that is set.
	Complete func(c *state.Cluster, name string, n *state.Network) error
	// Allocate deals out what new members need, once. Everything dealt before is
	// kept; n.Allocated is not nil.
	Allocate func(n *state.Network, servers []string) error
	// Fits says whether what a member was dealt belongs to the network as it is.
	Fits func(n *state.Network, a *state.Allocation) bool
	// Compile adds what every member must look like.
	Compile func(b *builder, name string, n *state.Network) error
}

func kinds() map[string]Kind {
	return map[string]Kind{
		Alloc:     poolKind(routeAlloc),
		BGP:       {Complete: completeBGP, Allocate: allocateBGP, Fits: fitsBGP, Compile: compileBGP},
		HostGW:    poolKind(routeHostGW),
		IPIP:      poolKind(routeIPIP),
		L2:        {Complete: completeL2, Allocate: allocateL2, Fits: fitsL2, Compile: compileL2},
		UDP:       poolKind(routeUDP),
		VXLAN:     {Complete: completeVXLAN, Allocate: allocateSegment, Fits: fitsSegment, Compile: compileVXLAN},
		VXLANL3:   poolKind(routeVXLANL3),
		WireGuard: {Complete: completeWireGuard, Allocate: allocateWireGuard, Fits: fitsWireGuard, Compile: compileWireGuard},
	}
}

// kindOf is what n's type means; ok is false for a type that is not known.
func kindOf(n *state.Network) (kind Kind, ok bool) {
	if isTunnel(n) {
		return Kind{Complete: completeTunnel, Allocate: allocateTunnel, Fits: fitsTunnel, Compile: compileTunnel}, slices.Contains(TunnelTypes(), n.Type)
	}
	kind, ok = kinds()[n.Type]
	return kind, ok
}

// kindNames returns the names of all kinds, sorted.
func kindNames() []string {
	names := slices.AppendSeq(TunnelTypes(), maps.Keys(kinds()))
	slices.Sort(names)
	return slices.Compact(names)
}

// Created returns the names of the kinds that createnetwork makes, sorted: BGP
// networks and tunnels have commands of their own.
func Created() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(kinds())), func(kind string) bool { return kind == BGP })
}

// reserved returns the words that cannot name a server: the command line uses
// them. "local" names the workstation itself.
func reserved() []string {
	return []string{Local, "server", "client", "subnet", "peer", "network", "external", "reflector"}
}

// Local is the reserved name of the workstation as a member.
const Local = "local"
