package trace

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// mend is what puts an object of ours right, and otherwise what is said by hand.
func (w *walker) mend(server, dev, byHand string) string {
	if network := w.network(server, dev); network != "" {
		return applyOf(network)
	}
	for _, a := range w.t.compiled.Hosts[server].Attached {
		if a.Host == dev {
			return "flock apply"
		}
	}
	return byHand
}

func applyOf(network string) string {
	if network == "" || network == "subnet" {
		return "flock apply"
	}
	return "flock apply " + network
}

// network is the one that made a device; "" if it is none of ours.
func (w *walker) network(server, dev string) string {
	if l := w.wanted(server, dev); l != nil {
		return l.Network
	}
	return ""
}

func (w *walker) wanted(server, dev string) *spec.Link {
	for i, l := range w.t.compiled.Hosts[server].Links {
		if l.Name == dev {
			return &w.t.compiled.Hosts[server].Links[i]
		}
	}
	return nil
}

// isUp stops at a device that is down, or whose other end is.
func (w *walker) isUp(server string, l *link) bool {
	object := "device " + l.Name
	switch {
	case !l.Up:
		w.fail(server, object, w.mend(server, l.Name, runOn(server, "ip", "link", "set", l.Name, "up")), "it is down")
		return false
	case !l.Carrier && l.Kind != spec.Bridge:
		what := "it has no carrier: the other end is down, or no cable is plugged in"
		if wanted := w.wanted(server, l.Name); wanted != nil && wanted.Kind == spec.UDP {
			what = "the process behind it does not run"
		}
		w.fail(server, object, w.mend(server, l.Name, runOn(server, "ip", "link", "show", l.Name)), "%s", what)
		return false
	}
	return true
}

// flow is a packet before a packet filter.
type flow struct {
	packet
	in, out *link // the devices; nil: none
	bridged bool
}

// seen is the flow as rules know it.
func (f flow) seen() kernel.Flow {
	k := kernel.Flow{Src: f.src, Dst: f.dst, Proto: f.proto, Port: f.port, Carries: f.carrier != "", Bridged: f.bridged}
	if f.in != nil {
		k.In = kernel.Device{Index: f.in.Index, Name: f.in.Name}
	}
	if f.out != nil {
		k.Out = kernel.Device{Index: f.out.Index, Name: f.out.Name}
	}
	return k
}

// filter stops where rules of a hook drop the packet.
func (w *walker) filter(server string, hook int, p packet, in, out *link) bool {
	return w.filtered(server, hook, flow{packet: p, in: in, out: out})
}

func (w *walker) filtered(server string, hook int, fl flow) bool {
	o := w.base(server, "").Rules.Pass(hook, fl.seen())
	if !o.Drops {
		if o.May {
			w.suspect = o
		}
		return true
	}
	next := runOn(server, o.List()...)
	if hook == kernel.Forwarding && o.ByPolicy() && !fl.bridged && len(w.t.compiled.Hosts[server].Forwards) > 0 {
		next = "flock apply"
	}
	object, who := o.Object()
	w.fail(server, object, next, "%sit drops %s %s", who, fl.what(), o.How())
	return false
}

// what names a flow in a sentence.
func (f flow) what() string {
	out := protoName(f.proto, f.port)
	if f.src.IsValid() {
		out += " from " + f.src.String()
	}
	return out + " to " + f.dst.String()
}

func protoName(proto, port int) string {
	return cmp.Or(map[int]string{
		protoTCP: fmt.Sprintf("TCP %d", port), protoUDP: fmt.Sprintf("UDP %d", port),
		protoIPIP: "protocol 4 (IP in IP)", protoGRE: "protocol 47 (GRE)",
	}[proto], "ICMP")
}

// out takes a packet out by a device, to the next hop on it.
func (w *walker) out(server string, dev *link, next netip.Addr, p packet) {
	f := w.base(server, "")
	if f == nil || w.circles(server) || !w.filter(server, kernel.Postrouting, p, nil, dev) || !w.translated(server, dev, &p) {
		return
	}
	if !w.pass(server, dev, true, p) {
		return
	}
	kind, routed := dev.Kind, dev.Master == 0 // VXLAN that packets are routed into is no port of a bridge
	if l := w.wanted(server, dev.Name); l != nil {
		kind, routed = l.Kind, l.Master == "" // WireGuard in userspace is a TUN device
	}
	switch kind {
	case spec.Bridge:
		if !w.addressed(End{Server: server}, f, dev, nil, next) {
			return
		}
		w.across(server, dev, nil, next, f.macOf(dev, next), p)
	case spec.VXLAN:
		w.vxlan(server, dev, next, f.macOf(dev, next), p, routed)
	case spec.WireGuard:
		w.wireguard(server, dev, p)
	case spec.GRE, spec.IP6GRE, spec.IPIP, "ip6tnl":
		w.iptunnel(server, dev, next, p)
	case spec.UDP:
		w.udp(server, dev, p)
	default:
		w.wire(server, dev, next, p)
	}
}

// translated gives p the source address that rules give it when it leaves by a device.
func (w *walker) translated(server string, dev *link, p *packet) bool {
	by := w.base(server, "").Rules.Translates(flow{packet: *p, out: dev}.seen())
	if by.Chain == nil || by.Source == p.src {
		return true
	}
	was := p.src
	if p.src = by.Source; !p.src.IsValid() {
		r, known := w.route(server, "", routeQuestion{To: p.dst})
		if !known {
			return false
		}
		p.src = r.Src
	}
	if by.Unsure {
		p.src = netip.Addr{} // either
	} else if p.src != was {
		w.ok(server, "chain "+by.Chain.String(), "gives it the source %s", p.src)
	}
	return true
}

// wire takes a packet out of hardware, to whoever has the next hop's address.
func (w *walker) wire(server string, dev *link, next netip.Addr, p packet) {
	f := w.base(server, "")
	to, _ := w.t.owner(next)
	if n, has := f.neighbour(dev.Index, next); has && n.State&(failed|incomplete) != 0 {
		w.nobody = true // so far: a packet makes the server ask again
		who, cable := next.String(), cmp.Or(p.again, "flock listservers")
		if to != "" {
			who, cable = to+" ("+who+")", runOn(to, "ip", "addr", "show")
		}
		w.fail(server, "neighbour "+next.String(), cable, "%s does not answer ARP on %s", who, dev.Name)
		return
	}
	if to != "" && !w.addressedBelow(server, dev, next, to) {
		return
	}
	if to == "" {
		if to, _ = w.t.owner(p.dst); to == "" && w.t.To.Server != "" && p.carrier == "" {
			to = w.t.To.Server
		}
		if to == "" {
			w.Leaves = true
			w.ok(server, "device "+dev.Name, "to %s, which is no server of the cluster", next)
			return
		}
		w.ok(server, "device "+dev.Name, "to the router %s, which is no server of the cluster", next)
		next = p.dst
	} else {
		w.ok(server, "device "+dev.Name, "to %s (%s)", to, next)
	}
	g := w.base(to, "")
	if g == nil {
		return
	}
	by := g.holder(next)
	if by == nil {
		if b, known := w.t.below(to); known {
			by = g.holder(b)
		}
	}
	if by == nil {
		w.fail(to, "address "+next.String(), "flock setserver "+to+" --interface IFACE", "no device has it")
		return
	}
	if !w.isUp(to, by) {
		return
	}
	if !w.pass(to, by, false, p) {
		return
	}
	w.receive(to, by, p)
}

// finish is the end of the way on a server.
func (w *walker) finish(server string, by *link) {
	t := w.t
	if t.To.Server == "" || t.To.Server == server && t.To.Container == "" {
		name := "lo"
		if by != nil {
			name = by.Name
		}
		w.ok(server, "address "+t.To.Addr.String(), "it is %s's, on %s", server, name)
		w.Arrives, w.last = true, server
		return
	}
	w.fail(server, "address "+t.To.Addr.String(), "flock listnet "+server, "%s itself has it, and so has %s", server, t.To)
}
