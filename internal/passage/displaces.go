package passage

import (
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// Displaces says whether a link comes that cannot be there beside one that goes: the stages keep
// both until the last.
func Displaces(was, now *spec.Host) bool {
	lacks := func(h *spec.Host, l spec.Link) bool {
		return !slices.ContainsFunc(h.Links, func(o spec.Link) bool { return o.Name == l.Name && o.Kind == l.Kind })
	}
	for _, goes := range was.Links {
		if !lacks(now, goes) {
			continue
		}
		for _, l := range now.Links {
			if lacks(was, l) && alike(goes, l) || l.Kind == spec.VXLAN && goes.Kind != spec.VXLAN && portOf(goes) == portOf(l) && portOf(l) != 0 {
				return true
			}
		}
	}
	return false
}

// alike says whether the kernel takes only one of two links: it tells them apart by VNI, port or
// ends.
func alike(a, b spec.Link) bool {
	if port := portOf(a); port != 0 && port == portOf(b) {
		return a.Kind != spec.VXLAN || b.Kind != spec.VXLAN || a.Tunnel.VNI == b.Tunnel.VNI || a.Tunnel.GBP != b.Tunnel.GBP
	}
	return a.Kind == b.Kind && a.Tunnel != nil && b.Tunnel != nil && portOf(a) == 0 && portOf(b) == 0 &&
		a.Tunnel.Local == b.Tunnel.Local && a.Tunnel.Remote == b.Tunnel.Remote && a.Tunnel.Key == b.Tunnel.Key
}

// portOf is the UDP port of a link; 0: it has none.
func portOf(l spec.Link) uint16 {
	if l.Tunnel != nil {
		return l.Tunnel.Port
	}
	return l.Port
}
