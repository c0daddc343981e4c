//go:build linux

package bgp

import (
	"net/netip"
	"strconv"
	"strings"

	api "github.com/osrg/gobgp/v3/api"
)

// What GoBGP tells about a path comes as messages packed in messages. These take
// out what is wanted and leave the rest packed.

// prefixOf is where path leads.
func prefixOf(path *api.Path) (netip.Prefix, bool) {
	var nlri api.IPAddressPrefix
	if path.GetNlri() == nil || path.GetNlri().UnmarshalTo(&nlri) != nil {
		return netip.Prefix{}, false
	}
	addr, err := netip.ParseAddr(nlri.Prefix)
	if err != nil {
		return netip.Prefix{}, false
	}
	p, err := addr.Prefix(int(nlri.PrefixLen)) // host bits that a neighbour left on mean nothing
	return p, err == nil
}

// nextHopOf is path's next hop, invalid if it has none that is an address.
func nextHopOf(path *api.Path) netip.Addr {
	text := ""
	for _, a := range path.GetPattrs() {
		var v4 api.NextHopAttribute
		var reach api.MpReachNLRIAttribute
		switch {
		case a.MessageIs(&v4) && a.UnmarshalTo(&v4) == nil:
			text = v4.NextHop
		case a.MessageIs(&reach) && a.UnmarshalTo(&reach) == nil && len(reach.NextHops) > 0:
			text = reach.NextHops[0]
		}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// sourceOf is the neighbour that path was learned from, invalid for our own.
func sourceOf(path *api.Path) netip.Addr {
	addr, err := netip.ParseAddr(path.GetNeighborIp())
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

// asPathOf is path's AS path as the field writes it: "65001 {65002,65003}".
func asPathOf(path *api.Path) string {
	var words []string
	for _, a := range path.GetPattrs() {
		var as api.AsPathAttribute
		if !a.MessageIs(&as) || a.UnmarshalTo(&as) != nil {
			continue
		}
		for _, s := range as.Segments {
			numbers := make([]string, len(s.Numbers))
			for i, n := range s.Numbers {
				numbers[i] = strconv.FormatUint(uint64(n), 10)
			}
			switch s.Type {
			case api.AsSegment_AS_SET:
				words = append(words, "{"+strings.Join(numbers, ",")+"}")
			case api.AsSegment_AS_CONFED_SEQUENCE, api.AsSegment_AS_CONFED_SET:
				words = append(words, "("+strings.Join(numbers, " ")+")")
			default:
				words = append(words, numbers...)
			}
		}
	}
	return strings.Join(words, " ")
}
