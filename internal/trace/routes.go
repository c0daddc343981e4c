package trace

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// expected is the most specific way that flock gave a server to an address.
func (w *walker) expected(server string, a netip.Addr) (dev string, via netip.Addr, prefix netip.Prefix, of string) {
	h := w.t.compiled.Hosts[server]
	longest := -1
	take := func(d string, v netip.Addr, p netip.Prefix) {
		if p.Contains(a) && p.Bits() > longest {
			dev, via, prefix, longest = d, v, p.Masked(), p.Bits()
		}
	}
	for _, own := range h.Addrs {
		take(own.Link, netip.Addr{}, own.Prefix)
	}
	for _, r := range h.Routes {
		if !r.Unreachable {
			take(r.Dev, r.Via, r.Dst)
		}
	}
	if longest < 0 {
		return "", netip.Addr{}, netip.Prefix{}, ""
	}
	return dev, via, prefix, cmp.Or(w.network(server, dev), w.t.placed(a).Network)
}

// placed is where an address is, by what is known before anybody is asked.
func (t *Trace) placed(a netip.Addr) End {
	e := End{Addr: a}
	t.place(&e)
	return e
}

// routed asks a server for a packet's way, its own or one that came by a device, and stops where
// there is none, or another one than flock gave it.
func (w *walker) routed(server string, by *link, p packet) (route, bool) {
	q := routeQuestion{From: p.src, To: p.dst}
	if by != nil {
		q.In = by.Index
	}
	r, known := w.route(server, "", q)
	if !known {
		return r, false
	}
	f := w.base(server, "")
	if f == nil {
		return r, false
	}
	if r.Errno == 0 && r.Type == routeLocal {
		return r, true
	}
	dev, via, prefix, network := w.expected(server, p.dst)
	if dev != "" {
		l := f.link(dev)
		if l == nil {
			w.fail(server, "device "+dev, applyOf(network), "it is not there; %s is reached by it", prefix)
			return r, false
		}
		if !l.Up {
			w.isUp(server, l)
			return r, false
		}
	}
	if r.Errno != 0 {
		return r, w.refused(server, by, p, r)
	}
	if dev != "" && (f.name(r.Out) != dev || via.IsValid() && r.Via.IsValid() && r.Via != via) {
		return r, w.otherRoute(server, p, r, dev, via, prefix, network)
	}
	if dev == "" && (by == nil || !p.dst.IsValid()) {
		return r, w.noRouteOfOurs(server, p, r)
	}
	return r, true
}

// otherRoute stops at a route that is not flock's: flock's is gone, or another one goes before.
func (w *walker) otherRoute(server string, p packet, r route, dev string, via netip.Addr, prefix netip.Prefix, network string) bool {
	m, known := w.route(server, "", routeQuestion{To: p.dst, Match: true})
	if !known {
		return false
	}
	f := w.base(server, "")
	way, ours := byWay(f.name(r.Out), r.Via), byWay(dev, via)
	if m.Errno == 0 && m.Prefix.Bits() < prefix.Bits() {
		w.fail(server, "route "+prefix.String(), applyOf(network), "it is missing (it leads %s); packets to %s leave %s", ours, p.dst, way)
		return false
	}
	what := m.Prefix.String()
	del := []string{"ip", "route", "del", what}
	if r.Via.IsValid() {
		del = append(del, "via", r.Via.String())
	}
	if m.Proto == spec.RouteProtoBGP {
		w.ok(server, "route "+what, "learned by BGP, %s", way)
		return true
	}
	if del = append(del, "dev", f.name(r.Out)); m.Table != 0 && m.Table != mainTable {
		del = append(del, "table", strconv.Itoa(m.Table))
	}
	w.fail(server, "route "+what, runOn(server, del...), "it leads %s, %s has it %s: somebody else's route goes before", way, cmp.Or(network, "the network"), ours)
	return false
}

// byWay is a route in words.
func byWay(dev string, via netip.Addr) string {
	if !via.IsValid() {
		return "by " + dev
	}
	return "by " + dev + " via " + via.String()
}

// noRouteOfOurs stops a server's own packet that should go by a network, where the server has
// nothing to send it by.
func (w *walker) noRouteOfOurs(server string, p packet, r route) bool {
	m, known := w.route(server, "", routeQuestion{To: p.dst, Match: true})
	if !known {
		return false
	}
	if m.Errno == 0 && m.Prefix.Bits() > 0 || w.elsewhere(p.dst) {
		return true
	}
	next, what := w.routeTo(p.dst, server)
	w.fail(server, "route", next, "no route to %s but the default one, by %s: %s", p.dst, w.t.facts(place{server, ""}).name(r.Out), what)
	return false
}

// forbids are the types of routes and rules, as ip-route(8) calls them, that end in these errors
// (linux, net/ipv4/fib_semantics.c, fib_props). The kernel says nothing of which of the two it was.
var forbids = map[int]string{errProhibit: "prohibit", errMartian: "blackhole"}

// refused says why the kernel takes no packet to there.
func (w *walker) refused(server string, by *link, p packet, r route) bool {
	f := w.base(server, "")
	dev, _, prefix, network := w.expected(server, p.dst)
	filter := 0
	if by != nil && (r.Errno == errCrossDevice || r.Errno == errMartian) && f.holder(p.src) == nil {
		filter = max(f.Filters[allDevices], f.Filters[by.Index])
	}
	switch {
	case filter == 1:
		of := dotted(by.Name)
		if f.Filters[allDevices] == 1 {
			of = "all"
		}
		w.fail(server, "rp_filter of "+by.Name, runOn(server, "sysctl", "-w", "net.ipv4.conf."+dotted(by.Name)+".rp_filter=2"),
			"packets from %s that come by %s are dropped: the way back to it does not lead there, and the filter is strict (net.ipv4.conf.%s.rp_filter = 1)", p.src, by.Name, of)
	case filter > 1:
		w.fail(server, "rp_filter of "+by.Name, runOn(server, "ip", "route", "get", p.src.String()),
			"packets from %s that come by %s are dropped: no way at all leads back to it", p.src, by.Name)
	case by != nil && r.Errno == errMartian:
		w.fail(server, "route", runOn(server, "ip", "addr", "show"), "packets from %s that come by %s are taken for forged: %s has that address itself, or it is none", p.src, by.Name, server)
	case by != nil && !f.Forwards[[2]int{int(kernel.FamilyOf(p.dst)), by.Index}]:
		w.fail(server, "setting forwarding", applyOf(cmp.Or(network, p.network)), "it is off for what comes by %s: nothing is forwarded to %s", by.Name, p.dst)
	case forbids[r.Errno] != "":
		w.fail(server, "route", runOn(server, "sh", "-c", "ip rule; ip route show table all type "+forbids[r.Errno]),
			"a rule or a route of type %s is for packets to %s", forbids[r.Errno], p.dst)
	case dev != "":
		w.fail(server, "route "+prefix.String(), applyOf(network), "it is missing; %s is unreachable", p.dst)
	default:
		next, _ := w.routeTo(p.dst, server)
		w.fail(server, "route", next, "there is none to %s", p.dst)
	}
	return false
}

// dotted is a device's name as sysctl has it among dots.
func dotted(dev string) string { return strings.ReplaceAll(dev, ".", "/") }

// elsewhere says whether the routes to an address are somebody else's, maybe a router's: those of
// no network, and of one that gives its members none (alloc).
func (w *walker) elsewhere(a netip.Addr) bool {
	name := w.t.placed(a).Network
	if n := w.t.c.Networks[name]; n == nil || n.AS != 0 {
		return n == nil
	}
	return !slices.ContainsFunc(w.t.members(name), func(server string) bool {
		dev, _, _, _ := w.expected(server, a)
		return dev != "" && server != w.t.shareOf(name, a)
	})
}

// routeTo is what gives a server a route to an address, and why it has none.
func (w *walker) routeTo(a netip.Addr, server string) (next, why string) {
	name := w.t.placed(a).Network
	switch n := w.t.c.Networks[name]; {
	case w.elsewhere(a):
		return runOn(server, "ip", "route"), "nothing leads to it"
	case !ground.HasMember(n, server):
		return w.t.join(n, name, server), server + " is not in " + name
	case n.AS != 0:
		return "flock showbgp " + server, "BGP has learned none"
	}
	return "flock apply " + name, "nothing leads to it"
}

// send takes a server's own packet out.
func (w *walker) send(server string, p packet) {
	f := w.base(server, "")
	if f == nil {
		return
	}
	if p.carrier == "" {
		w.src = p.src
	}
	r, on := w.routed(server, nil, p)
	if !on {
		return
	}
	if p.src = cmp.Or(p.src, r.Src); p.carrier == "" {
		w.src = p.src
	}
	if r.Type == routeLocal {
		w.ok(server, "route", "%s is its own", p.dst)
		if lo := f.link("lo"); lo == nil || w.filter(server, kernel.Output, p, nil, lo) && w.filter(server, kernel.Input, p, lo, nil) {
			p.arrive(server, f.holder(p.dst))
		}
		return
	}
	dev := f.at(r.Out)
	w.route2(server, p, r)
	if dev == nil || !w.isUp(server, dev) || !w.filter(server, kernel.Output, p, nil, dev) {
		return
	}
	w.out(server, dev, cmp.Or(r.Via, p.dst), p)
}

// route2 is the line of a route.
func (w *walker) route2(server string, p packet, r route) {
	with := ""
	if p.carrier != "" {
		with = ", with " + p.carrier
	}
	if r.Via == p.dst {
		r.Via = netip.Addr{}
	}
	w.ok(server, "route", "%s %s%s", p.dst, byWay(w.t.facts(place{server, ""}).name(r.Out), r.Via), with)
}

// receive takes in a packet that came by a device: for the server itself, or to be forwarded.
func (w *walker) receive(server string, by *link, p packet) {
	f := w.base(server, "")
	if f == nil || w.circles(server) || !w.filter(server, kernel.Prerouting, p, by, nil) {
		return
	}
	r, on := w.routed(server, by, p)
	if !on {
		return
	}
	if r.Type == routeLocal {
		if w.filter(server, kernel.Input, p, by, nil) {
			p.arrive(server, by)
		}
		return
	}
	dev := f.at(r.Out)
	if dev == nil {
		w.fail(server, "route", runOn(server, "ip", "route", "get", p.dst.String()), "it leads to a device that is gone")
		return
	}
	w.ok(server, "route", "forwards %s from %s to %s", p.dst, by.Name, dev.Name)
	if !w.isUp(server, dev) || !w.filter(server, kernel.Forwarding, p, by, dev) {
		return
	}
	w.out(server, dev, cmp.Or(r.Via, p.dst), p)
}

// shareOf is the server behind which a network has an address; "" if that is not one.
func (t *Trace) shareOf(network string, a netip.Addr) string {
	e := t.placed(a)
	if e.Network == network && len(e.among) == 1 {
		return e.among[0]
	}
	return e.Server
}
