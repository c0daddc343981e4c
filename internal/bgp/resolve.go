//go:build linux

package bgp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// hop is a next hop as the kernel takes it.
type hop struct {
	via netip.Addr // on the link of dev
	dev int        // index
}

func compareHops(a, b hop) int { return cmp.Or(a.via.Compare(b.via), cmp.Compare(a.dev, b.dev)) }

// world is the kernel's tables without our routes: next hops are resolved by them.
type world struct {
	devices map[int]device           // by index
	routes  map[netip.Prefix]foreign // of the main table
	links   []netip.Prefix           // those without a gateway: this server's own networks
	local   map[netip.Addr]bool      // this server's own addresses; true: of devices that are up
	taken   map[netip.Prefix]bool    // foreign routes of our metric
	before  map[netip.Prefix]foreign // foreign routes that the kernel prefers to ours
}

// device is what routes need to know of a device.
type device struct {
	name string
	up   bool
	arp  bool // it resolves neighbours by ARP or ND
}

// foreign is a route that is not ours.
type foreign struct {
	hop    hop // via is invalid if the destination itself is on the link
	dead   bool
	metric int
	kind   int // RTN_UNICAST, RTN_BLACKHOLE …
}

// newWorld splits a dump into other routes and ours.
func newWorld(routes []netlink.Route, addrs []netlink.Addr, devices map[int]device) (*world, map[netip.Prefix][]hop) {
	w := &world{
		devices: devices, routes: map[netip.Prefix]foreign{}, local: map[netip.Addr]bool{}, taken: map[netip.Prefix]bool{}, before: map[netip.Prefix]foreign{},
	}
	ours := map[netip.Prefix][]hop{}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			w.local[ip.Unmap()] = devices[a.LinkIndex].up
		}
	}
	for _, r := range routes {
		dst, ok := destination(r)
		if !ok || r.Table != unix.RT_TABLE_MAIN {
			continue
		}
		if r.Protocol == spec.RouteProtoBGP {
			if r.Priority == spec.BGPMetric {
				ours[dst] = hopsOf(r)
			}
			continue
		}
		if r.Priority == spec.BGPMetric {
			w.taken[dst] = true
		}
		w.add(dst, r)
	}
	for dst, to := range w.routes {
		if !to.hop.via.IsValid() && !to.dead && dst.Bits() > 0 {
			w.links = append(w.links, dst)
		}
	}
	return w, ours
}

// here are those of list that this server has: it has an address or the network of a
// device that is up within, or they are part of such a network.
func (w *world) here(list []netip.Prefix) (out []netip.Prefix) {
	for _, p := range list {
		has := slices.ContainsFunc(w.links, p.Overlaps)
		for a, up := range w.local {
			has = has || up && p.Contains(a)
		}
		if has {
			out = append(out, p)
		}
	}
	return out
}

// unused says why the kernel does not use our route to p; "" if it does.
func (w *world) unused(p netip.Prefix) string {
	first, ok := w.before[p]
	if !ok {
		return ""
	}
	text := "the route"
	switch {
	case first.kind != unix.RTN_UNICAST:
		text = "a route that drops it"
	case first.hop.via.IsValid():
		text += " via " + first.hop.via.String() + " dev " + w.devices[first.hop.dev].name
	default:
		text += " dev " + w.devices[first.hop.dev].name
	}
	return fmt.Sprintf("%s with metric %d goes before it", text, first.metric)
}

// refuses says why no route to p is added, whoever announces it. A route to a part of a
// network that this server is on would cut it off from its neighbours there. In IPv6 a
// route to the whole network would, too: the kernel's own routes have metric 256.
func (w *world) refuses(p netip.Prefix) string {
	for _, l := range w.links {
		if l.Bits() <= p.Bits() && l.Contains(p.Addr()) {
			return "this server is itself on " + l.String()
		}
	}
	if w.taken[p] {
		return "somebody else's route to it has the same metric"
	}
	return ""
}

// add notes a foreign route. Of several to one destination the one that the kernel
// prefers counts.
func (w *world) add(dst netip.Prefix, r netlink.Route) {
	new := foreign{metric: r.Priority, kind: r.Type, dead: r.Type != unix.RTN_UNICAST}
	if hops := hopsOf(r); len(hops) > 0 {
		new.hop = hops[0]
		new.dead = new.dead || !w.devices[new.hop.dev].up
	} else {
		new.dead = true
	}
	first, twice := w.before[dst]
	if rules := !new.dead || r.Type != unix.RTN_UNICAST; rules && new.metric < spec.BGPMetric && (!twice || new.metric < first.metric) {
		w.before[dst] = new
	}
	if old, ok := w.routes[dst]; !ok || old.dead && !new.dead || old.dead == new.dead && new.metric < old.metric {
		w.routes[dst] = new
	}
}

// resolve returns the hop by which the next hop nh is reached; why says why there is
// none. Default routes count only with anywhere: routers behind them do not know our
// routes.
func (w *world) resolve(nh netip.Addr, anywhere bool) (h hop, why string) {
	if _, own := w.local[nh]; own {
		return hop{}, "next hop " + nh.String() + " is this server itself"
	}
	if nh.IsLinkLocalUnicast() {
		return hop{}, "next hop " + nh.String() + " is a link-local address"
	}
	least := 1
	if anywhere {
		least = 0
	}
	for bits := nh.BitLen(); bits >= least; bits-- {
		to, ok := w.routes[netip.PrefixFrom(nh, bits).Masked()]
		if !ok {
			continue
		}
		if to.dead {
			return hop{}, "the way to next hop " + nh.String() + " is down"
		}
		if !to.hop.via.IsValid() {
			to.hop.via = nh
		}
		return to.hop, ""
	}
	return hop{}, "next hop " + nh.String() + " is on no network of this server"
}

// destination is r's; the kernel omits that of a default route.
func destination(r netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		if r.Family == unix.AF_INET6 {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	ip, ok := netip.AddrFromSlice(r.Dst.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	if r.Family == unix.AF_INET {
		ip = ip.Unmap()
	}
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(ip, bits), true
}

// hopsOf are the next hops of r, sorted.
func hopsOf(r netlink.Route) []hop {
	if len(r.MultiPath) == 0 {
		if r.LinkIndex == 0 {
			return nil
		}
		return []hop{{gateway(r.Gw, r.Via), r.LinkIndex}}
	}
	out := make([]hop, len(r.MultiPath))
	for i, n := range r.MultiPath {
		out[i] = hop{gateway(n.Gw, n.Via), n.LinkIndex}
	}
	slices.SortFunc(out, compareHops)
	return out
}

func gateway(gw []byte, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok {
		gw = v.Addr
	}
	ip, _ := netip.AddrFromSlice(gw)
	return ip.Unmap()
}
