package trace

import (
	"cmp"
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// holds says which server has an address behind it, in a container or itself; "" if that is not
// known.
func (w *walker) holds(a netip.Addr) string {
	if a == w.t.To.Addr && w.t.To.Server != "" {
		return w.t.To.Server
	}
	if a == w.src && w.t.From.Container != "" {
		return w.t.From.Server
	}
	server, _ := w.t.owner(a)
	return server
}

// portOf is the port that leads to a container with an address on a server.
func (w *walker) portOf(server string, a netip.Addr) (f *found, known bool) {
	list, known := w.list(server)
	return containerWith(list, a, ""), known
}

// hardwareOf is the MAC of an address by what the server says that has it; false when that must
// be asked first.
func (w *walker) hardwareOf(server string, a netip.Addr) (mac string, known bool) {
	g := w.base(server, "")
	if g == nil {
		return "", false
	}
	if l := g.holder(a); l != nil {
		return l.MAC, true
	}
	c, known := w.portOf(server, a)
	if c == nil {
		return "", known
	}
	return c.MAC, true
}

// across takes a frame over a bridge, from a port or from the server itself (nil), to whoever
// has the address next.
func (w *walker) across(server string, bridge, in *link, next netip.Addr, mac string, p packet) {
	f := w.base(server, "")
	if f == nil {
		return
	}
	target := w.holds(next)
	if mac == "" {
		w.asks = append(w.asks, [2]netip.Addr{w.src, next})
	}
	if mac == "" && target != "" {
		var known bool
		if mac, known = w.hardwareOf(target, next); !known {
			return
		}
		if mac != "" {
			w.ok(server, "neighbour "+next.String(), "not known yet on %s, %s has it with %s", bridge.Name, target, mac)
		}
	} else if mac != "" {
		w.ok(server, "neighbour "+next.String(), "%s on %s", mac, bridge.Name)
	}
	network := cmp.Or(w.network(server, bridge.Name), w.t.placed(next).Network)
	if mac == "" {
		w.unanswered(server, bridge, next, network)
		return
	}
	out, on := w.portFor(server, bridge, in, next, mac, target, network)
	if !on {
		return
	}
	if !w.overBridge(server, bridge, in, out, p) {
		return
	}
	switch w.kindOf(server, out) {
	case spec.VXLAN:
		if w.isUp(server, out) {
			if !w.pass(server, out, true, p) {
				return
			}
			w.vxlan(server, out, next, mac, p, false)
		}
	case "veth", "tun":
		w.intoContainer(server, out, p)
	default: // hardware, or a part of it: one segment with the other bridge
		if !w.isUp(server, out) {
			return
		}
		if !w.pass(server, out, true, p) {
			return
		}
		w.segment(server, out, next, mac, target, network, p)
	}
}

func (w *walker) kindOf(server string, l *link) string {
	if wanted := w.wanted(server, l.Name); wanted != nil {
		return wanted.Kind
	}
	return l.Kind
}

// unanswered stops at an address that nobody answers for.
func (w *walker) unanswered(server string, bridge *link, next netip.Addr, network string) {
	if w.silent != "" {
		w.lack(Need{Server: w.silent, containers: true})
		return
	}
	where := cmp.Or(network, bridge.Name)
	says := "nobody on %s answers for it: no server and no running container has it"
	if target := w.holds(next); target != "" {
		w.fail(server, "address "+next.String(), "flock listnet "+target, "no container of %s has it, and nobody on %s answers for it", target, where)
		return
	}
	w.Way.nobody = true
	list := "flock listnetworks"
	if network != "" {
		list += " " + network
	}
	w.fail(server, "address "+next.String(), list, says, where)
}

// portFor is the port that a bridge sends a frame to: by its forwarding entry, or where the
// address is when it floods.
func (w *walker) portFor(server string, bridge, in *link, next netip.Addr, mac, target, network string) (*link, bool) {
	f := w.base(server, "")
	uplink := w.uplink(server, bridge)
	for _, n := range f.Neighs {
		l := f.at(n.Index)
		if !n.Master || n.MAC != mac || l == nil || l.Master != bridge.Index || in != nil && l.Index == in.Index {
			continue
		}
		away := w.kindOf(server, l) == spec.VXLAN
		local := w.kindOf(server, l) == "veth" || w.kindOf(server, l) == "tun"
		if target != "" && (away && target == server || local && target != server) {
			if sameMAC, known := w.sameMACBy(server, l, away, mac, next, target, network); sameMAC || !known {
				return nil, false
			}
			w.fail(server, "fdb "+mac, runOn(server, "bridge", "fdb", "del", mac, "dev", l.Name, "master"),
				"%s sends frames to %s out by %s, but %s is on %s: the entry is stale", bridge.Name, mac, l.Name, next, target)
			return nil, false
		}
		w.ok(server, "bridge "+bridge.Name, "%s is behind %s", mac, l.Name)
		return l, true
	}
	switch {
	case target == server:
		c, known := w.portOf(server, next)
		if !known {
			return nil, false
		}
		if c == nil || c.Port == "" {
			w.fail(server, "address "+next.String(), "flock listnet "+server, "no container on %s has it", bridge.Name)
			return nil, false
		}
		l := f.link(c.Port)
		if l == nil || l.Master != bridge.Index {
			e := End{Server: server, Container: c.container}
			w.fail(server, "port "+c.Port, w.mend(server, c.Port, runOn(server, "ip", "link", "set", c.Port, "master", bridge.Name)), "it leads to %s and is no port of %s", e, bridge.Name)
			return nil, false
		}
		w.ok(server, "bridge "+bridge.Name, "floods frames to %s: to %s, too", mac, l.Name)
		return l, true
	case uplink == "":
		w.unanswered(server, bridge, next, network)
		return nil, false
	}
	l := f.link(uplink)
	if l == nil {
		w.fail(server, "device "+uplink, applyOf(network), "it is not there: %s leads to no other server", bridge.Name)
		return nil, false
	}
	if l.Master != bridge.Index {
		w.fail(server, "port "+uplink, applyOf(network), "it is no port of %s: nothing on the bridge reaches other servers", bridge.Name)
		return nil, false
	}
	w.ok(server, "bridge "+bridge.Name, "floods frames to %s: to %s, too", mac, uplink)
	return l, true
}

// uplink is the port of a bridge that leads to the other servers, as it should be.
func (w *walker) uplink(server string, bridge *link) string {
	for _, l := range w.t.compiled.Hosts[server].Links {
		if l.Master == bridge.Name && l.Kind == spec.VXLAN {
			return l.Name
		}
	}
	for _, l := range w.t.facts(place{server, ""}).Links {
		if l.Master == bridge.Index && l.Kind != "veth" && l.Kind != "tun" {
			return l.Name
		}
	}
	return ""
}

// overBridge stops where rules about bridges drop the frame; those about IP see it, too, with
// br_netfilter.
func (w *walker) overBridge(server string, bridge, in, out *link, p packet) bool {
	f := w.base(server, "")
	hook := kernel.Forwarding
	if in == nil {
		hook = kernel.Output
	}
	if !w.filtered(server, hook, flow{packet: p, in: in, out: out, bridged: true}) {
		return false
	}
	if in == nil {
		return true
	}
	// With br_netfilter they see it, which cannot be asked.
	if o := f.Rules.Pass(kernel.Forwarding, flow{packet: p, in: bridge, out: bridge}.seen()); o.Drops || o.May {
		o.Drops, o.May = false, true
		w.suspect = o
	}
	return true
}

// segment takes a frame over the wire between two bridges.
func (w *walker) segment(server string, out *link, next netip.Addr, mac, target, network string, p packet) {
	if target == "" || target == server {
		w.Leaves = true
		w.ok(server, "device "+out.Name, "to the segment: no server of the cluster is known to have %s", mac)
		return
	}
	g := w.base(target, "")
	if g == nil {
		return
	}
	for _, l := range w.t.compiled.Hosts[target].Links {
		if l.Network != network || l.Kind != spec.Bridge {
			continue
		}
		for _, port := range g.Links {
			if b := g.link(l.Name); b != nil && port.Master == b.Index && port.Kind != "veth" && port.Kind != "tun" {
				w.ok(server, "device "+out.Name, "to %s on the segment", target)
				w.frame(target, port, next, mac, p)
				return
			}
		}
	}
	w.fail(target, "bridge", applyOf(network), "it has no port of %s to the segment", network)
}

// frame takes a frame in on another server, by a port of its bridge.
func (w *walker) frame(server string, port *link, next netip.Addr, mac string, p packet) {
	g := w.base(server, "")
	if !w.pass(server, port, false, p) {
		return
	}
	bridge := g.at(port.Master)
	if bridge == nil {
		wanted := "its bridge"
		if l := w.wanted(server, port.Name); l != nil && l.Master != "" {
			wanted = l.Master
		}
		w.fail(server, "port "+port.Name, w.mend(server, port.Name, runOn(server, "ip", "link", "show", port.Name)), "it is no port of %s: frames from other servers end there", wanted)
		return
	}
	if !w.isUp(server, bridge) {
		return
	}
	if h := g.holder(next); h != nil {
		if !w.filtered(server, kernel.Input, flow{packet: p, in: port, bridged: true}) {
			return
		}
		w.ok(server, "bridge "+bridge.Name, "%s is its own", next)
		if !w.pass(server, bridge, false, p) {
			return
		}
		w.receive(server, h, p)
		return
	}
	w.across(server, bridge, port, next, mac, p)
}
