//go:build linux

package claim

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// foreignRoutes are the routes of all tables that are not this cluster's, default
// routes and the kernel's own entries aside.
func foreignRoutes(k *host.Host) []netlink.Route {
	var out []netlink.Route
	for i := range k.Routes { // which are large, and most of them not foreign
		r := &k.Routes[i]
		p := host.ToPrefix(r.Dst)
		a := p.Addr()
		plain := r.Table == unix.RT_TABLE_MAIN && r.Protocol == spec.RouteProto && k.Noted[p]
		if k.Ours(r.LinkIndex) || plain || byBGP(r) || r.Table == unix.RT_TABLE_LOCAL || p.Bits() <= 0 ||
			a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback() {
			continue
		}
		out = append(out, *r)
	}
	return out
}

// byBGP says whether a route is our BGP daemon's. Its routes come and go by what
// others say: they are in the way of whoever comes new alone (claimLearned).
func byBGP(r *netlink.Route) bool {
	return r.Protocol == spec.RouteProtoBGP && r.Priority == spec.BGPMetric
}

// foreignPrefixes are the connected and routed prefixes of all links that are
// nobody's of flock. What routing daemons learned is left out: that may be the
// whole Internet, and claims look at it here.
func foreignPrefixes(k *host.Host) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range foreignRoutes(k) {
		static := r.Protocol == spec.RouteProto && r.Table == unix.RT_TABLE_MAIN // another cluster's
		if !host.Flocks(k.Devices.ByIndex[r.LinkIndex]) && !learned(r.Protocol) && !static {
			out = append(out, host.ToPrefix(r.Dst))
		}
	}
	spec.SortPrefixes(out)
	return slices.Compact(out)
}

// learned says whether a routing daemon speaks protocol.
func learned(protocol netlink.RouteProtocol) bool { return routingDaemon(protocol) != "" }

// routingDaemon is the name that iproute2 has for a protocol that a routing daemon
// speaks, "" for others (linux rtnetlink.h).
func routingDaemon(protocol netlink.RouteProtocol) string {
	return map[netlink.RouteProtocol]string{
		unix.RTPROT_ZEBRA: "zebra", unix.RTPROT_BIRD: "bird", unix.RTPROT_BABEL: "babel", unix.RTPROT_BGP: "bgp",
		unix.RTPROT_ISIS: "isis", unix.RTPROT_OSPF: "ospf", unix.RTPROT_RIP: "rip", unix.RTPROT_EIGRP: "eigrp",
	}[protocol]
}
