//go:build linux

package bgp

import (
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

// prefixOf is the destination of path.
func prefixOf(path *apiutil.Path) (netip.Prefix, bool) {
	p, ok := path.Nlri.(*bgp.IPAddrPrefix)
	if !ok {
		return netip.Prefix{}, false
	}
	return p.Prefix.Masked(), p.Prefix.IsValid() // host bits that a neighbour left set are ignored
}

// nextHopOf is path's next hop; invalid if it has no address for one.
func nextHopOf(path *apiutil.Path) (hop netip.Addr) {
	for _, a := range path.Attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeNextHop:
			hop = a.Value
		case *bgp.PathAttributeMpReachNLRI:
			hop = a.Nexthop
		}
	}
	return hop.Unmap()
}

// asPathOf is path's AS path as the field writes it: "65001 {65002,65003}".
func asPathOf(path *apiutil.Path) string {
	for _, a := range path.Attrs {
		if as, ok := a.(*bgp.PathAttributeAsPath); ok {
			return bgp.AsPathString(as)
		}
	}
	return ""
}

// preferenceOf is path's LOCAL_PREF; nil if it is the usual one, or none.
func preferenceOf(path *apiutil.Path) *uint32 {
	for _, a := range path.Attrs {
		if p, ok := a.(*bgp.PathAttributeLocalPref); ok && p.Value != spec.DefaultLocalPref {
			return &p.Value
		}
	}
	return nil
}
