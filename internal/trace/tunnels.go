package trace

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// deviceOf is the name of a network's own device of a kind on a server.
func (w *walker) deviceOf(server, network, kind string) string {
	h := w.t.compiled.Hosts[server]
	if h == nil {
		return ""
	}
	for _, l := range h.Links {
		if l.Network == network && l.Kind == kind {
			return l.Name
		}
	}
	return ""
}

// foreign ends the way at a tunnel that is of no network: who is at its other end is not known.
func (w *walker) foreign(server, network string, dev *link) bool {
	if network == "" {
		w.Leaves = true
		w.ok(server, "device "+dev.Name, "a tunnel of no network of the cluster")
	}
	return w.Leaves
}

// tunnelDevice is the device that takes in what a network's tunnels carry to a server; nil: it
// stops there.
func (w *walker) tunnelDevice(server, network, kind string) *link {
	name := w.deviceOf(server, network, kind)
	if name == "" {
		w.fail(server, "network "+network, w.t.join(w.t.c.Networks[network], network, server), "%s is not in it: nobody takes in what the tunnel carries", server)
		return nil
	}
	f := w.base(server, "")
	if f == nil {
		return nil
	}
	l := f.link(name)
	if l == nil {
		w.fail(server, "device "+name, applyOf(network), "it is not there: nobody takes in what the tunnel carries")
		return nil
	}
	if !w.isUp(server, l) {
		return nil
	}
	return l
}

// tunnel sends the packet outside of another one, and goes on at the server where that arrives.
func (w *walker) tunnel(server string, outer packet, then func(to string)) {
	outer.carrier = protoName(outer.proto, outer.port)
	outer.arrive = func(to string, _ *link) {
		if to == server {
			w.fail(server, "address "+outer.dst.String(), applyOf(outer.network), "the other end of the tunnel is %s itself", server)
			return
		}
		then(to)
	}
	w.send(server, outer)
}

// iptunnel takes a packet through a GRE or IP in IP device.
func (w *walker) iptunnel(server string, dev *link, next netip.Addr, p packet) {
	network := w.network(server, dev.Name)
	if !dev.Remote.IsValid() && w.foreign(server, network, dev) {
		return
	}
	proto := protoGRE
	if strings.HasPrefix(dev.Kind, "ip") && dev.Kind != spec.IP6GRE {
		proto = protoIPIP
	}
	dst := cmp.Or(dev.Remote, next)
	w.ok(server, "device "+dev.Name, "to its other end, %s (%s)", cmp.Or(w.tunnelEnd(dst, network), "somebody"), dst)
	w.tunnel(server, packet{src: dev.Local, dst: dst, proto: proto, network: network, hidden: p.hidden}, func(to string) {
		if l := w.takesIn(to, network, dev, dst); l != nil && w.pass(to, l, false, p) {
			w.receive(to, l, p)
		}
	})
}

// takesIn is the device that takes in what a GRE or IP in IP device of a network, "" of none, sends to
// an address of a server; nil: it stops there. Whoever made a device, the kernel asks first which has both
// ends, then which has the other one, then which has its own, as a network's has that is for all members.
func (w *walker) takesIn(server, network string, from *link, own netip.Addr) *link {
	var meant *link
	if network != "" {
		if meant = w.tunnelDevice(server, network, from.Kind); meant == nil {
			return nil
		}
		if meant.Remote.IsValid() && from.Local.IsValid() && meant.Remote != from.Local {
			w.fail(server, "device "+meant.Name, applyOf(network), "its other end is %s, packets come from %s", meant.Remote, from.Local)
			return nil
		}
	}
	f := w.base(server, "")
	if f == nil {
		return nil
	}
	best := meant
	for _, l := range f.Links {
		is := func(end, wanted netip.Addr) bool { return !end.IsValid() || !wanted.IsValid() || end == wanted }
		if l.Kind == from.Kind && is(l.Local, own) && is(l.Remote, from.Local) && (best == nil || asked(l) > asked(best)) {
			best = l
		}
	}
	switch {
	case best == nil:
		w.nobodyTakesIn(server)
	case meant != nil && best != meant:
		w.ok(server, "device "+best.Name, "takes it in before %s, as it leads to %s alone", meant.Name, best.Remote)
	case !w.isUp(server, best):
		return nil
	}
	return best
}

// asked is the greater, the earlier the kernel asks a device: not at all before it is up.
func asked(l *link) int {
	rank := 0
	if l.Local.IsValid() {
		rank++
	}
	if l.Remote.IsValid() {
		rank += 2
	}
	if l.Up {
		rank += 4
	}
	return rank
}

// udp takes a packet to the process behind a TUN device, by the members that it was given.
func (w *walker) udp(server string, dev *link, p packet) {
	network := w.network(server, dev.Name)
	var to netip.Addr
	longest := -1
	for _, m := range w.t.compiled.Hosts[server].Members {
		for _, s := range m.Subnets {
			if m.Link == dev.Name && s.Contains(p.dst) && s.Bits() > longest {
				longest, to = s.Bits(), m.Addr
			}
		}
	}
	if !to.IsValid() {
		w.fail(server, "device "+dev.Name, "flock listnetworks "+network, "no member of %s has %s", network, p.dst)
		return
	}
	wanted := w.wanted(server, dev.Name)
	w.ok(server, "device "+dev.Name, "to %s (%s)", cmp.Or(w.tunnelEnd(to, network), "somebody"), to)
	w.tunnel(server, packet{src: wanted.Tunnel.Local, dst: to, proto: protoUDP, port: int(wanted.Tunnel.Port), network: network, hidden: p.hidden}, func(other string) {
		if l := w.tunnelDevice(other, network, spec.UDP); l != nil {
			if !w.pass(other, l, false, p) {
				return
			}
			w.receive(other, l, p)
		}
	})
}

// says is a passage's carrier in words.
func (p packet) says() string {
	if p.carrier == "" {
		return ""
	}
	return flow{packet: p}.what()
}
