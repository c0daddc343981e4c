package trace

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// addressed says whether the entry of the neighbour table of a place, for the next hop on one of
// its devices, is the MAC of who has that address on the segment; an address that nobody is known to
// have, and one without an entry, are. It stops at one that is not: frames to it are for nobody, or
// for somebody else. By is the bridge of the place's server, where the device is a container's.
func (w *walker) addressed(at End, f *facts, dev, by *link, next netip.Addr) bool {
	n, has := f.neighbour(dev.Index, next)
	if !has || n.MAC == "" || n.State&(failed|incomplete) != 0 {
		return true
	}
	who, right, known := w.answers(at, by, next)
	if !known {
		return false
	}
	if len(right) == 0 || slices.Contains(right, n.MAC) {
		return true
	}
	why := "the entry is of before"
	if n.State&permanent != 0 {
		why = "the entry is permanent, nobody asks again"
	}
	del := []string{"ip", "neigh", "del", next.String(), "dev", dev.Name}
	w.fail(at.String(), "neighbour "+next.String(), command(at, del), "%s has it at %s, %s has it with %s: %s", dev.Name, n.MAC, who, right[0], why)
	return false
}

// addressedBelow is addressed for hardware, where the MAC that counts may be a router's or a cloud's:
// an entry that somebody made by hand is wrong where no device of the server has it.
func (w *walker) addressedBelow(server string, dev *link, next netip.Addr, to string) bool {
	n, has := w.t.facts(place{server, ""}).neighbour(dev.Index, next)
	if !has || n.State&permanent == 0 || n.MAC == "" {
		return true
	}
	g := w.base(to, "")
	if g == nil {
		return false
	}
	by := g.holder(next)
	if by == nil || by.MAC == "" || slices.ContainsFunc(g.Links, func(l *link) bool { return l.MAC == n.MAC }) {
		return true
	}
	w.fail(server, "neighbour "+next.String(), runOn(server, "ip", "neigh", "del", next.String(), "dev", dev.Name),
		"%s has it at %s by hand, %s has it with %s: nobody asks again", dev.Name, n.MAC, to, by.MAC)
	return false
}

// answers says who has an address on a segment, and by which MACs that one may be reached: the
// gateway has its own on every member, besides that of the bridge.
func (w *walker) answers(at End, by *link, next netip.Addr) (who string, macs []string, known bool) {
	here := w.base(at.Server, "")
	if here == nil {
		return "", nil, false
	}
	if by != nil && here.holder(next) != nil {
		for _, g := range w.t.compiled.Hosts[at.Server].Gateways {
			if g.Bridge == by.Name && slices.Contains(g.Addrs, next) {
				macs = append(macs, g.MAC)
				for _, s := range w.t.members(g.Network) { // routers' that were advertised are taken, too
					if l := w.wanted(s, w.deviceOf(s, g.Network, spec.Bridge)); l != nil && l.MAC != "" {
						macs = append(macs, l.MAC)
					}
				}
			}
		}
		return at.Server, append(macs, by.MAC), true
	}
	target := w.holds(next)
	if target == "" {
		return "", nil, true
	}
	mac, known := w.hardwareOf(target, next)
	if mac == "" {
		return "", nil, known
	}
	return target, []string{mac}, true
}

// sameMACBy is sameMAC for a forwarding entry of a bridge that leads to a port: to another server (away),
// by the entry of the tunnel behind it.
func (w *walker) sameMACBy(server string, port *link, away bool, mac string, next netip.Addr, target, network string) (is, known bool) {
	if !away {
		return w.sameMAC(server, port.Name, mac, next, target)
	}
	for _, n := range w.t.facts(place{server, ""}).Neighs {
		if n.Index == port.Index && n.MAC == mac && n.Dst.IsValid() {
			if to := w.tunnelEnd(n.Dst, network); to != "" && to != target {
				return w.sameMAC(to, "", mac, next, target)
			}
		}
	}
	return false, true
}

// sameMAC stops where a container behind another port has the MAC of next: bridges send frames to
// whoever of both sent last. Port is that of server; "": any. Known is false where that must be
// asked first.
func (w *walker) sameMAC(server, port, mac string, next netip.Addr, target string) (is, known bool) {
	list, known := w.list(server)
	if !known {
		return false, false
	}
	own, known := w.portOf(target, next)
	if !known || own == nil {
		return false, known
	}
	for _, c := range list {
		for _, i := range c.Interfaces {
			if i.MAC != mac || port != "" && i.Port != port || has(i.Addrs, next) {
				continue
			}
			one, other := &found{c.Name, i}, End{Server: target, Container: own.container}
			where, who := server, End{Server: server, Container: c.Name}.String()
			if c.Name == "" {
				who = "what is behind " + i.Port + " of " + server
			}
			if one.container == "" || one.Owner != "" { // what flock attached keeps its MAC
				where, one = target, own
			}
			command := "flock listnet " + where
			if one.container != "" && one.Owner == "" {
				_, fresh := ground.ContainerMAC(w.t.c.Name, where, one.container, one.Name)
				command = "on " + where + ": " + ground.Inside(one.container, "ip", "link", "set", "dev", one.Name, "address", fresh)
			}
			w.fail(server, "MAC "+mac, command, "%s has it, and so has %s: frames to it go to whoever of both sent last", who, other)
			return true, true
		}
	}
	return false, true
}
