//go:build linux

package bgp

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// routeMessage adds a route to p, replacing ours, or removes it. Several hops make one
// route (RTA_MULTIPATH).
func routeMessage(kind int, p netip.Prefix, hops []hop) *nl.NetlinkRequest {
	flags := 0
	if kind == unix.RTM_NEWROUTE {
		flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	m := nl.NewNetlinkRequest(kind, flags)
	head := nl.NewRtMsg()
	head.Family, head.Dst_len, head.Protocol = unix.AF_INET6, uint8(p.Bits()), spec.RouteProtoBGP //nolint:gosec // 0…128
	if p.Addr().Is4() {
		head.Family = unix.AF_INET
	}
	m.AddData(head)
	m.AddData(nl.NewRtAttr(unix.RTA_DST, p.Addr().AsSlice()))
	m.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(spec.BGPMetric)))
	switch {
	case kind == unix.RTM_DELROUTE:
		// Destination, metric and protocol suffice. With hops given, IPv6 would remove
		// them one by one.
	case len(hops) == 1:
		m.AddData(viaAttr(p, hops[0].via))
		m.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(hops[0].dev)))) //nolint:gosec // an index
	default:
		var all []byte
		for _, h := range hops {
			all = append(all, nextHop(p, h)...)
		}
		m.AddData(nl.NewRtAttr(unix.RTA_MULTIPATH, all))
	}
	return m
}

// nextHop is a struct rtnexthop with its gateway (linux/rtnetlink.h).
func nextHop(p netip.Prefix, h hop) []byte {
	n := &nl.RtNexthop{RtNexthop: unix.RtNexthop{Ifindex: int32(h.dev)}, Children: []nl.NetlinkRequestData{viaAttr(p, h.via)}} //nolint:gosec // an index
	return n.Serialize()
}

// viaAttr names a gateway; one of another family than the destination's has its own
// form (RTA_VIA).
func viaAttr(p netip.Prefix, via netip.Addr) *nl.RtAttr {
	if p.Addr().Is4() == via.Is4() {
		return nl.NewRtAttr(unix.RTA_GATEWAY, via.AsSlice())
	}
	family := make([]byte, 2)
	nl.NativeEndian().PutUint16(family, unix.AF_INET6)
	return nl.NewRtAttr(unix.RTA_VIA, append(family, via.AsSlice()...))
}
