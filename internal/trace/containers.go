package trace

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/trace/kernel"
)

// leaveContainer takes a packet from inside a container to its port on the server.
func (w *walker) leaveContainer(from End, p packet) {
	where := from.String()
	in := w.base(from.Server, from.Container)
	host := w.base(from.Server, "")
	if in == nil || host == nil {
		return
	}
	if in.Stopped {
		w.fail(from.Server, "container "+from.Container, "flock listnet "+from.Server, "it does not run")
		return
	}
	q := routeQuestion{To: p.dst, From: from.Addr}
	r, known := w.route(from.Server, from.Container, q)
	if !known {
		return
	}
	look := inside(from.Server, from.Container, "ip", "route")
	if r.Errno != 0 {
		w.fail(where, "route", look, "it has none to %s", p.dst)
		return
	}
	p.src = cmp.Or(q.From, r.Src)
	w.src = p.src
	dev := in.at(r.Out)
	w.ok(where, "route", "%s %s, from %s", p.dst, byWay(in.name(r.Out), r.Via), p.src)
	if dev == nil || !dev.Up {
		w.fail(where, "device "+in.name(r.Out), inside(from.Server, from.Container, "ip", "link", "set", in.name(r.Out), "up"), "it is down")
		return
	}
	if dev.Name == "lo" {
		w.Arrives, w.last = true, from.Server
		return
	}
	w.reachPort(from, dev, cmp.Or(r.Via, p.dst), p)
}

// reachPort takes a packet from a container's interface to its other end on the server.
func (w *walker) reachPort(from End, dev *link, next netip.Addr, p packet) {
	in, host := w.base(from.Server, from.Container), w.base(from.Server, "")
	port := host.at(dev.Peer)
	if list, known := w.list(from.Server); !known {
		return
	} else if named := containersNamed(list, from.Container); len(named) > 0 {
		for _, i := range named[0].Interfaces {
			if i.Name == dev.Name {
				port = host.link(i.Port)
			}
		}
	}
	if port == nil {
		w.fail(from.String(), "device "+dev.Name, listed(from), "its other end is not on %s", from.Server)
		return
	}
	if by := host.at(port.Master); by != nil && !w.addressed(from, in, dev, by, next) || !w.controlled(from, dev, true, p) {
		return
	}
	w.enterByPort(from.Server, port, next, in.macOf(dev, next), p)
}

// inside is a command to be run in a container, runOn is one on its server. Names are those that
// the server told.
func inside(server, container string, words ...string) string {
	kind, name, _ := strings.Cut(container, "/")
	by := []string{"ip", "netns", "exec", name}
	switch kind {
	case spec.Docker, "podman":
		by = []string{kind, "exec", name}
	case spec.LXC:
		by = []string{"lxc-attach", "-n", name, "--"}
	}
	return runOn(server, append(by, words...)...)
}

func runOn(server string, words ...string) string {
	return "on " + server + ": " + hint.Shell(words...)
}

// listed is the command that shows a container's interfaces.
func listed(e End) string {
	return hint.Shell("flock", "listnet", e.Server+":"+nameOf(e.Container))
}

// enterByPort takes a frame in at the server's end of a container's pair.
func (w *walker) enterByPort(server string, port *link, next netip.Addr, mac string, p packet) {
	f := w.base(server, "")
	if f == nil || !w.isUp(server, port) {
		return
	}
	if !w.pass(server, port, false, p) {
		return
	}
	bridge := f.at(port.Master)
	if bridge == nil || bridge.Kind != spec.Bridge {
		if len(port.Addrs) > 0 {
			w.receive(server, port, p)
			return
		}
		w.fail(server, "port "+port.Name, w.mend(server, port.Name, "flock listnet "+server), "it is plugged into no bridge")
		return
	}
	if !w.isUp(server, bridge) {
		return
	}
	if h := f.holder(next); h != nil {
		if h.Index == bridge.Index {
			if !w.pass(server, bridge, false, p) {
				return
			}
		}
		w.receive(server, h, p)
		return
	}
	w.across(server, bridge, port, next, mac, p)
}

// intoContainer is the end of the way at a container's port.
func (w *walker) intoContainer(server string, port *link, p packet) {
	if !w.isUp(server, port) {
		return
	}
	if !w.pass(server, port, true, p) {
		return
	}
	list, known := w.list(server)
	if !known {
		return
	}
	c := containerWith(list, netip.Addr{}, port.Name)
	if c == nil || c.container == "" {
		w.ok(server, "port "+port.Name, "to a container that flock does not know")
		w.Arrives, w.last, w.port = true, server, true
		return
	}
	e := End{Server: server, Container: c.container}
	if spec.IsGuest(c.container) {
		w.ok(server, "port "+port.Name, "to the guest %s, which alone knows what is inside", nameOf(c.container))
		w.Arrives, w.last, w.port = true, server, true
		return
	}
	in := w.base(server, c.container)
	if in == nil {
		return
	}
	if in.Stopped {
		w.fail(server, "container "+c.container, "flock listnet "+server, "it does not run")
		return
	}
	dev := in.link(c.Name)
	if dev == nil || !dev.Up {
		w.fail(e.String(), "device "+c.Name, inside(server, c.container, "ip", "link", "set", c.Name, "up"), "it is down")
		return
	}
	if !w.controlled(e, dev, false, p) {
		return
	}
	if h := in.holder(p.dst); h == nil {
		w.fail(e.String(), "address "+p.dst.String(), listed(e), "%s has it no more", e)
		return
	}
	if o := in.Rules.Pass(kernel.Input, flow{packet: p, in: dev}.seen()); o.Drops {
		w.fail(e.String(), "chain "+o.Chain.String(), inside(server, c.container, o.Chain.List()...), "it drops %s %s", flow{packet: p}.what(), o.How())
		return
	}
	w.ok(e.String(), "device "+c.Name, "%s is its own", p.dst)
	if back, known := w.route(server, c.container, routeQuestion{To: p.src}); !known {
		return
	} else if back.Errno != 0 {
		w.warn(e.String(), "route", inside(server, c.container, "ip", "route"), "it has none back to %s: nothing will answer", p.src)
	}
	w.Arrives, w.last, w.port = true, server, true
}
