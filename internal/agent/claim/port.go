//go:build linux

package claim

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/spec"
)

// Ports says which of the ports that want's claims and ops need somebody
// else has. What stands already holds its ports itself.
func Ports(k *host.Host, table []*family.Family, want, have *spec.Host, ops []family.Op) []spec.Problem {
	var out []spec.Problem
	add := func(advice string, own func(pid int) bool, list ...socket.Listener) {
		for _, l := range list {
			if !l.Taken() {
				continue
			}
			if h := holderOf(k, l); h.pid == 0 || own == nil || !own(h.pid) {
				out = append(out, h.problem(l, advice))
				return // the others would name the same
			}
		}
	}
	tried := map[uint16]bool{0: true}
	for _, c := range want.Claims {
		switch {
		case tried[c.UDPPort]:
		case c.UDPPort == spec.BFDPort:
			own := func(pid int) bool { return pid == k.Units.PID(bgpctl.Daemon(k.Files)) }
			add("%s: two BFD daemons cannot share a server", own, tunnelListeners(k, c.UDPPort, want, have)...)
		default:
			add(setting(c.Network, "-p PORT")+", or %s", nil, tunnelListeners(k, c.UDPPort, want, have)...)
		}
		if !tried[c.TCPPort] && k.Units.PID(bgpctl.Daemon(k.Files)) == 0 {
			add("%s: two BGP daemons cannot share a server", nil, bgpListeners(c.TCPPort)...)
		}
		tried[c.UDPPort], tried[c.TCPPort] = true, true
	}
	for _, op := range ops {
		if listens := table[op.Family].Listens; listens != nil {
			for _, l := range listens(k, op) {
				add(l.Advice, l.Own, l.At...)
			}
		}
	}
	return out
}

// tunnelListeners are the sockets that a link of want on a UDP port will have; none
// where one of ours stands there already. Without a link it is any socket.
func tunnelListeners(k *host.Host, port uint16, want, have *spec.Host) []socket.Listener {
	holds := func(l spec.Link) bool { return spec.PortOf(l) == port && (!l.Down || l.Kind != spec.VXLAN) }
	if k.Hung[port] || slices.ContainsFunc(have.Links, holds) {
		return nil
	}
	at := socket.Everywhere(port)
	i := slices.IndexFunc(want.Links, func(l spec.Link) bool { return spec.PortOf(l) == port })
	if i >= 0 && want.Links[i].Kind == spec.UDP {
		at = []netip.AddrPort{netip.AddrPortFrom(want.Links[i].Tunnel.Local, port)}
	}
	if i >= 0 && want.Links[i].Kind == spec.VXLAN {
		six := want.Links[i].Tunnel.Local.Is6()
		if sharesVXLAN(k, port, six) {
			return nil
		}
		at = spec.Without(at, func(a netip.AddrPort) bool { return a.Addr().Is6() != six })
	}
	var out []socket.Listener
	for _, a := range at {
		out = append(out, socket.Listener{At: a})
	}
	return out
}

// sharesVXLAN says whether there is a VXLAN device on a port, of the family: VXLAN
// devices share the kernel's socket. Whether they can live together is tunnelConflicts'.
func sharesVXLAN(k *host.Host, port uint16, six bool) bool {
	for _, l := range k.Devices.ByName {
		v, ok := l.(*netlink.Vxlan)
		if ok && v.Port == int(port) && (v.FlowBased || six == (host.ToAddr(v.SrcAddr).Is6() || host.ToAddr(v.Group).Is6())) {
			return true
		}
	}
	return false
}

// bgpListeners are the sockets of a BGP daemon.
func bgpListeners(port uint16) []socket.Listener {
	var out []socket.Listener
	for _, at := range socket.Everywhere(port) {
		out = append(out, socket.Listener{At: at, Stream: true, Share: []int{unix.SO_REUSEADDR}})
	}
	return out
}
