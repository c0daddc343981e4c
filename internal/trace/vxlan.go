package trace

import (
	"cmp"
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// vxlan takes a frame through a VXLAN device, by its forwarding entry or its flood list.
func (w *walker) vxlan(server string, dev *link, next netip.Addr, mac string, p packet, routed bool) {
	network := w.network(server, dev.Name)
	if network == "" {
		w.othersVXLAN(server, dev, next, mac, p)
		return
	}
	if routed && mac == "" {
		w.fail(server, "neighbour "+next.String(), applyOf(network), "%s has no entry for it: the frame cannot be addressed", dev.Name)
		return
	}
	target := w.holds(next)
	if routed {
		target = cmp.Or(w.t.shareOf(network, p.dst), target)
	}
	below := netip.Addr{}
	if target != "" {
		below = w.t.compiled.Places[ground.Membership{Server: target, Network: network}].Addr
		if wanted := w.wanted(target, w.deviceOf(target, network, spec.VXLAN)); wanted != nil && wanted.Tunnel != nil && wanted.Tunnel.Local.IsValid() {
			below = wanted.Tunnel.Local
		}
	}
	entry := &vxlanEntry{server: server, dev: dev, network: network, next: next, mac: mac, target: target, below: below, routed: routed}
	dst := w.forwarding(entry)
	if !dst.IsValid() {
		return
	}
	w.tunnel(server, packet{src: dev.Local, dst: dst, proto: protoUDP, port: dev.Port, network: network, hidden: p.hidden}, func(to string) {
		l := w.tunnelDevice(to, network, spec.VXLAN)
		if l == nil {
			return
		}
		if l.VNI != dev.VNI || l.Port != dev.Port {
			w.fail(to, "device "+l.Name, applyOf(network), "it has VNI %d and port %d, %s has VNI %d and port %d", l.VNI, l.Port, server, dev.VNI, dev.Port)
			return
		}
		if routed {
			if !w.pass(to, l, false, p) {
				return
			}
			w.receive(to, l, p)
			return
		}
		w.frame(to, l, next, mac, p)
	})
}

// tunnelEnd is the member of a network with an address below it.
func (w *walker) tunnelEnd(a netip.Addr, network string) string {
	for m, at := range w.t.compiled.Places {
		if m.Network == network && at.Addr == a {
			return m.Server
		}
	}
	server, _ := w.t.owner(a)
	return server
}

// vxlanEntry is a frame before a VXLAN device, and what is known of where it should go.
type vxlanEntry struct {
	server  string
	dev     *link
	network string
	next    netip.Addr
	mac     string
	target  string     // server that has next; "": not known
	below   netip.Addr // of target
	routed  bool
}

// forwarding is the address below that a frame is sent to; invalid: it stops here.
func (w *walker) forwarding(e *vxlanEntry) (dst netip.Addr) {
	f := w.base(e.server, "")
	var floods bool
	for _, n := range f.Neighs {
		if n.Index != e.dev.Index || !n.Dst.IsValid() {
			continue
		}
		switch n.MAC {
		case e.mac:
			dst = n.Dst
		case spec.ZeroMAC:
			floods = floods || n.Dst == e.below
		}
	}
	multicast := e.dev.Group.IsValid() && e.dev.Group.IsMulticast()
	switch {
	case dst.IsValid():
		to := w.tunnelEnd(dst, e.network)
		if e.target != "" && e.below.IsValid() && dst != e.below {
			if to != "" {
				if sameMAC, known := w.sameMAC(to, "", e.mac, e.next, e.target); sameMAC || !known {
					return netip.Addr{}
				}
			}
			w.fail(e.server, "fdb "+e.mac, runOn(e.server, "bridge", "fdb", "del", e.mac, "dev", e.dev.Name, "dst", dst.String()),
				"%s sends frames to %s to %s (%s), but %s is on %s (%s)", e.dev.Name, e.mac, cmp.Or(to, "somebody"), dst, e.next, e.target, e.below)
			return netip.Addr{}
		}
		w.ok(e.server, "fdb "+e.mac, "to %s (%s) by %s", cmp.Or(to, "somebody"), dst, e.dev.Name)
		if !e.routed && !multicast && e.target != "" && !floods {
			w.warn(e.server, "fdb "+spec.ZeroMAC, applyOf(e.network), "the flood list of %s lacks %s (%s): who is there now is known, ARP for anybody new is lost", e.dev.Name, e.target, e.below)
		}
		e.target = cmp.Or(to, e.target)
	case e.routed:
		w.fail(e.server, "fdb "+e.mac, applyOf(e.network), "%s has no entry for it: frames to %s go nowhere", e.dev.Name, cmp.Or(e.target, e.next.String()))
		return netip.Addr{}
	case e.target == "":
		w.unanswered(e.server, e.dev, e.next, e.network)
		return netip.Addr{}
	case multicast:
		dst = e.below
		w.ok(e.server, "device "+e.dev.Name, "to the group %s, in which %s is", e.dev.Group, e.target)
	case !floods:
		w.fail(e.server, "fdb "+spec.ZeroMAC, applyOf(e.network), "the flood list of %s lacks %s (%s): ARP and frames to whoever is not known yet do not get there", e.dev.Name, e.target, e.below)
		return netip.Addr{}
	default:
		dst = e.below
		w.ok(e.server, "fdb "+spec.ZeroMAC, "the flood list of %s has %s (%s)", e.dev.Name, e.target, dst)
	}
	return dst
}
