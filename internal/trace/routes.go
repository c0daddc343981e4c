package trace

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// expected is the most specific way that flock gave a server to an address.
func (w *walker) expected(server string, a netip.Addr) (dev string, via netip.Addr, prefix netip.Prefix, network string) {
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
	if network = w.network(server, dev); network == "" {
		network = w.t.networkOf(a)
	}
	return dev, via, prefix, network
}

func (t *Trace) networkOf(a netip.Addr) string {
	e := End{Addr: a}
	t.place(&e)
	return e.Network
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
	way := "by " + f.name(r.Out)
	if r.Via.IsValid() {
		way += " via " + r.Via.String()
	}
	ours := "by " + dev
	if via.IsValid() {
		ours += " via " + via.String()
	}
	if m.Errno == 0 && m.Prefix.Bits() < prefix.Bits() {
		w.fail(server, "route "+prefix.String(), applyOf(network), "it is missing (it leads %s); packets to %s leave %s", ours, p.dst, way)
		return false
	}
	what := m.Prefix.String()
	del := "on " + server + ": ip route del " + what
	if r.Via.IsValid() {
		del += " via " + r.Via.String()
	}
	if m.Proto == spec.RouteProtoBGP {
		w.ok(server, "route "+what, "learned by BGP, %s", way)
		return true
	}
	w.fail(server, "route "+what, del+" dev "+f.name(r.Out), "it leads %s, %s has it %s: somebody else's route goes before", way, cmp.Or(network, "the network"), ours)
	return false
}

// noRouteOfOurs stops a server's own packet that should go by a network, where the server has
// nothing to send it by.
func (w *walker) noRouteOfOurs(server string, p packet, r route) bool {
	m, known := w.route(server, "", routeQuestion{To: p.dst, Match: true})
	if !known {
		return false
	}
	e := End{Addr: p.dst}
	w.t.place(&e)
	if e.Network == "" || m.Errno == 0 && m.Prefix.Bits() > 0 {
		return true
	}
	next := "flock status " + e.Network
	what := "nothing leads to it"
	if !ground.HasMember(w.t.c.Networks[e.Network], server) {
		next, what = "flock addnetwork "+e.Network+" "+server, server+" is not in "+e.Network
	} else if w.t.c.Networks[e.Network].AS != 0 {
		next, what = "flock showbgp "+server, "BGP has learned none"
	}
	w.fail(server, "route", next, "no route to %s but the default one, by %s: %s", p.dst, w.t.facts(place{server, ""}).name(r.Out), what)
	return false
}

// refused says why the kernel takes no packet to there.
func (w *walker) refused(server string, by *link, p packet, r route) bool {
	f := w.base(server, "")
	dev, _, prefix, network := w.expected(server, p.dst)
	switch {
	case by != nil && (r.Errno == errCrossDevice || r.Errno == errMartian) && f.holder(p.src) == nil && max(f.Filters[allDevices], f.Filters[by.Index]) > 0:
		w.fail(server, "rp_filter of "+by.Name, "on "+server+": sysctl -w net.ipv4.conf."+by.Name+".rp_filter=2",
			"packets from %s that come by %s are dropped: the way back to it does not lead there, and the filter is strict (%s)", p.src, by.Name, strict(f, by))
	case by != nil && r.Errno == errMartian:
		w.fail(server, "route", "on "+server+": ip addr show", "packets from %s that come by %s are taken for forged: %s has that address itself, or it is none", p.src, by.Name, server)
	case by != nil && !f.Forwards[[2]int{int(familyOf(p.dst)), by.Index}]:
		w.fail(server, "setting forwarding", applyOf(cmp.Or(network, p.network)), "it is off for what comes by %s: nothing is forwarded to %s", by.Name, p.dst)
	case dev != "":
		w.fail(server, "route "+prefix.String(), applyOf(network), "it is missing; %s is unreachable", p.dst)
	default:
		w.noRoute(server, p)
	}
	return false
}

func strict(f *facts, by *link) string {
	if f.Filters[allDevices] == 1 {
		return "net.ipv4.conf.all.rp_filter = 1"
	}
	return "net.ipv4.conf." + by.Name + ".rp_filter = 1"
}

func (w *walker) noRoute(server string, p packet) {
	name := w.t.networkOf(p.dst)
	next := "on " + server + ": ip route"
	switch n := w.t.c.Networks[name]; {
	case name == "":
	case !ground.HasMember(n, server):
		next = "flock addnetwork " + name + " " + server
	case n.AS != 0:
		next = "flock showbgp " + server
	default:
		next = "flock apply " + name
	}
	w.fail(server, "route", next, "there is none to %s", p.dst)
}

// send takes a server's own packet out.
func (w *walker) send(server string, p packet) {
	f := w.base(server, "")
	if f == nil {
		return
	}
	if p.src.IsValid() && !w.src.IsValid() {
		w.src = p.src
	}
	r, on := w.routed(server, nil, p)
	if !on {
		return
	}
	if !p.src.IsValid() {
		p.src = r.Src
	}
	if !w.src.IsValid() {
		w.src = p.src
	}
	if r.Type == routeLocal {
		w.ok(server, "route", "%s is its own", p.dst)
		p.arrive(server, f.holder(p.dst))
		return
	}
	dev := f.at(r.Out)
	w.route2(server, p, r)
	if dev == nil || !w.isUp(server, dev) || !w.filter(server, output, p, nil, dev) {
		return
	}
	w.out(server, dev, nextOf(r, p), p)
}

func nextOf(r route, p packet) netip.Addr {
	if r.Via.IsValid() {
		return r.Via
	}
	return p.dst
}

// route2 is the line of a route.
func (w *walker) route2(server string, p packet, r route) {
	via := ""
	if r.Via.IsValid() && r.Via != p.dst {
		via = " via " + r.Via.String()
	}
	if w.depth(p) {
		via += ", with " + p.carrier
	}
	w.ok(server, "route", "%s by %s%s", p.dst, w.t.facts(place{server, ""}).name(r.Out), via)
}

func (w *walker) depth(p packet) bool { return p.carrier != "" }

// receive takes in a packet that came by a device: for the server itself, or to be forwarded.
func (w *walker) receive(server string, by *link, p packet) {
	f := w.base(server, "")
	if f == nil || len(w.Hops) > most {
		return
	}
	if !w.filter(server, prerouting, p, by, nil) {
		return
	}
	r, on := w.routed(server, by, p)
	if !on {
		return
	}
	if r.Type == routeLocal {
		if w.filter(server, input, p, by, nil) {
			p.arrive(server, by)
		}
		return
	}
	dev := f.at(r.Out)
	if dev == nil {
		w.fail(server, "route", "on "+server+": ip route get "+p.dst.String(), "it leads to a device that is gone")
		return
	}
	w.ok(server, "route", "forwards %s from %s to %s", p.dst, by.Name, dev.Name)
	if !w.isUp(server, dev) || !w.filter(server, forwarding, p, by, dev) {
		return
	}
	w.out(server, dev, nextOf(r, p), p)
}

// shareOf is the subnet that a server shares or was dealt, and that has a.
func (t *Trace) shareOf(network string, a netip.Addr) (server string) {
	n := t.c.Networks[network]
	if n == nil {
		return ""
	}
	for s, dealt := range n.Allocated {
		if slices.ContainsFunc(dealt.Subnets, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return s
		}
	}
	for _, text := range n.Shares {
		if share, err := state.ParseShare(text); err == nil && share.Subnet.Contains(a) {
			return share.Server
		}
	}
	return ""
}
