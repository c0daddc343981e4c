package trace

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// Tunnels that somebody else made are followed by what the kernels of both ends have: nothing says how
// they should be.

// othersDevice is the device of a server that takes in what a tunnel of others carries: the first that
// is so; nil: it stops there, or the tunnel is a network's.
func (w *walker) othersDevice(server, network string, is func(*link) bool) *link {
	if network != "" {
		return nil
	}
	f := w.base(server, "")
	if f == nil {
		return nil
	}
	l := firstOf(f.Links, func(l *link) bool { return w.network(server, l.Name) == "" && is(l) })
	if l == nil {
		w.fail(server, "tunnel", runOn(server, "ip", "-d", "link", "show"), "no device takes in what the tunnel carries: its other end is not there, or leads elsewhere")
		return nil
	}
	if !w.isUp(server, l) {
		return nil
	}
	return l
}

// othersVXLAN takes a frame through somebody's own VXLAN device: by its forwarding entry, or to its one
// other end. Where it has several, or a group, who takes the frame in is not known.
func (w *walker) othersVXLAN(server string, dev *link, next netip.Addr, mac string, p packet) {
	dst := dev.Group
	for _, n := range w.t.facts(place{server, ""}).Neighs {
		if n.Index == dev.Index && n.Dst.IsValid() && mac != "" && n.MAC == mac {
			dst = n.Dst
		}
	}
	if !dst.IsValid() || dst.IsMulticast() || dst.IsUnspecified() {
		w.foreign(server, "", dev)
		return
	}
	w.ok(server, "device "+dev.Name, "a tunnel of no network of the cluster, to %s", dst)
	w.tunnel(server, packet{src: dev.Local, dst: dst, proto: protoUDP, port: dev.Port, hidden: p.hidden}, func(to string) {
		l := w.othersDevice(to, "", func(l *link) bool { return l.Kind == spec.VXLAN && l.VNI == dev.VNI && l.Port == dev.Port })
		switch {
		case l == nil:
		case l.Master != 0:
			w.frame(to, l, next, mac, p)
		case w.pass(to, l, false, p):
			w.receive(to, l, p)
		}
	})
}
