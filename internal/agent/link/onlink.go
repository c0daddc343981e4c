//go:build linux

package link

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// shelter returns what goes before and after the message about r, if anything. The kernel
// takes an IPv6 next hop that is on link only while no route but the default one leads
// to it by another device (ip6_route_check_nh_onlink, linux 6.18), and the route
// that is to change does: the next hop is an address of its destination. So the next hop
// gets a route of its own meanwhile, which tells nothing but the truth. All three go in
// one system call; what is left of them if it ends in the middle is on a link of ours,
// where the next look finds it.
func shelter(k *host.Host, c *host.Cover, r spec.Route) (before, after *nl.NetlinkRequest, err error) {
	if !r.Onlink || !r.Via.Is6() || !c.Elsewhere(r.Via, r.Dev) {
		return nil, nil, nil
	}
	host := spec.Route{Dst: hostRoute(r.Via), Dev: r.Dev, Proto: r.Proto}
	if before, err = routeMessage(k, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, host); err != nil {
		return nil, nil, err
	}
	if after, err = routeMessage(k, unix.RTM_DELROUTE, 0, host); err != nil {
		return nil, nil, err
	}
	// A metric of its own tells it from a route to the same address that is to stay.
	for _, m := range []*nl.NetlinkRequest{before, after} {
		rtnl.Put(m, unix.RTA_PRIORITY, nl.Uint32Attr(shelterMetric))
	}
	return before, after, nil
}

const shelterMetric = 70

func hostRoute(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
