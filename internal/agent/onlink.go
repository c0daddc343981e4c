//go:build linux

package agent

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// cover knows the routes that an IPv6 next hop may lie below while routes change: by
// destination the device, "" where there are several.
type cover struct {
	devs map[netip.Prefix]string
	bits [129]bool // lengths that occur
}

// covers gathers the main table's routes and those that are wanted.
func covers(k *host.Host, want *spec.Host) *cover {
	c := &cover{devs: map[netip.Prefix]string{}}
	for _, r := range k.Routes {
		if r.Table == unix.RT_TABLE_MAIN {
			c.add(host.ToPrefix(r.Dst), k.Devices.Name(r.LinkIndex))
		}
	}
	for _, r := range want.Routes {
		c.add(r.Dst, r.Dev)
	}
	return c
}

func (c *cover) add(p netip.Prefix, dev string) {
	if !p.Addr().Is6() || p.Bits() == 0 {
		return
	}
	if other, ok := c.devs[p]; ok && other != dev {
		dev = ""
	}
	c.devs[p], c.bits[p.Bits()] = dev, true
}

// elsewhere says whether a route by another device than dev may lead to a.
func (c *cover) elsewhere(a netip.Addr, dev string) bool {
	for bits, occurs := range c.bits {
		if !occurs {
			continue
		}
		p, err := a.Prefix(bits)
		if err != nil {
			return false
		}
		if other, ok := c.devs[p]; ok && other != dev {
			return true
		}
	}
	return false
}

// shelter returns what goes before and after the message about r, if anything. The kernel
// takes an IPv6 next hop that is on link only while no route but the default one leads
// to it by another device (ip6_route_check_nh_onlink, linux 6.18), and the route
// that is to change does: the next hop is an address of its destination. So the next hop
// gets a route of its own meanwhile, which tells nothing but the truth. All three go in
// one system call; what is left of them if it ends in the middle is on a link of ours,
// where the next look finds it.
func shelter(k *host.Host, c *cover, r spec.Route) (before, after *nl.NetlinkRequest, err error) {
	if !r.Onlink || !r.Via.Is6() || !c.elsewhere(r.Via, r.Dev) {
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
		m.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(shelterMetric)))
	}
	return before, after, nil
}

const shelterMetric = 70

func hostRoute(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
