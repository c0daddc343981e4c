package trace

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// Tunnels that somebody else made are followed by what the kernels of both ends have: nothing says how
// they should be.

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
		f := w.base(to, "")
		if f == nil {
			return
		}
		l := firstOf(f.Links, func(l *link) bool { return l.Kind == spec.VXLAN && l.VNI == dev.VNI && l.Port == dev.Port })
		switch {
		case l == nil:
			w.nobodyTakesIn(to)
		case !w.isUp(to, l):
		case l.Master != 0:
			w.frame(to, l, next, mac, p)
		case w.pass(to, l, false, p):
			w.receive(to, l, p)
		}
	})
}

// nobodyTakesIn stops at a server that has no device for what a tunnel carries there.
func (w *walker) nobodyTakesIn(server string) {
	w.fail(server, "tunnel", runOn(server, "ip", "-d", "link", "show"), "no device takes in what the tunnel carries: its other end is not there, or leads elsewhere")
}
