//go:build linux

package agent

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// claimPorts says which of the ports that want's claims and seen's ops need somebody
// else has. What stands already holds its ports itself.
func (k *Kernel) claimPorts(want *spec.Host, seen *outlook) []spec.Problem {
	var out []spec.Problem
	add := func(advice string, own func(pid int) bool, list ...listener) {
		for _, l := range list {
			if !l.taken() {
				continue
			}
			if h := k.holderOf(l); h.pid == 0 || own == nil || !own(h.pid) {
				out = append(out, h.problem(l, advice))
				return // the others would name the same
			}
		}
	}
	tried := map[uint16]bool{0: true}
	for _, c := range want.Claims {
		if !tried[c.UDPPort] {
			add("choose another port (-p), or %s", nil, k.tunnelListeners(c.UDPPort, want, seen)...)
		}
		if !tried[c.TCPPort] && k.services.units.PID(k.services.bgpDaemon()) == 0 {
			add("%s: two BGP daemons cannot share a server", nil, bgpListeners(c.TCPPort)...)
		}
		tried[c.UDPPort], tried[c.TCPPort] = true, true
	}
	for _, op := range seen.ops {
		if listens := families[op.family].listens; listens != nil {
			for _, l := range listens(k, op) {
				add(l.advice, l.own, l.at...)
			}
		}
	}
	return out
}

// sockets are those of one daemon that stand or fall together.
type sockets struct {
	at     []listener
	own    func(pid int) bool // the process is ours, and gives way; nil: none is
	advice string             // what to do about another one, with %s for how to end it
}

// tunnelListeners are the sockets that a link of want on a UDP port will have; none
// where one of ours stands there already. Without a link it is any socket.
func (k *Kernel) tunnelListeners(port uint16, want *spec.Host, seen *outlook) []listener {
	holds := func(l spec.Link) bool { return portOf(l) == port && (!l.Down || l.Kind != spec.VXLAN) }
	if k.hung[port] || slices.ContainsFunc(seen.have.Links, holds) {
		return nil
	}
	at := everywhere(port)
	i := slices.IndexFunc(want.Links, func(l spec.Link) bool { return portOf(l) == port })
	if i >= 0 && want.Links[i].Kind == spec.UDP {
		at = []netip.AddrPort{netip.AddrPortFrom(want.Links[i].Tunnel.Local, port)}
	}
	if i >= 0 && want.Links[i].Kind == spec.VXLAN {
		six := want.Links[i].Tunnel.Local.Is6()
		if k.sharesVXLAN(port, six) {
			return nil
		}
		at = slices.DeleteFunc(at, func(a netip.AddrPort) bool { return a.Addr().Is6() != six })
	}
	var out []listener
	for _, a := range at {
		out = append(out, listener{at: a})
	}
	return out
}

// portOf is the UDP port that l listens on, 0 if it does not.
func portOf(l spec.Link) uint16 {
	if l.Tunnel != nil {
		return l.Tunnel.Port
	}
	return l.Port
}

// sharesVXLAN says whether there is a VXLAN device on a port, of the family: VXLAN
// devices share the kernel's socket. Whether they can live together is tunnelConflicts'.
func (k *Kernel) sharesVXLAN(port uint16, six bool) bool {
	for _, l := range k.devices.byName {
		v, ok := l.(*netlink.Vxlan)
		if ok && v.Port == int(port) && (v.FlowBased || six == (toAddr(v.SrcAddr).Is6() || toAddr(v.Group).Is6())) {
			return true
		}
	}
	return false
}

// bgpListeners are the sockets of a BGP daemon.
func bgpListeners(port uint16) []listener {
	var out []listener
	for _, at := range everywhere(port) {
		out = append(out, listener{at: at, stream: true, share: []int{unix.SO_REUSEADDR}})
	}
	return out
}

// dhcpSockets are those that op has dnsmasq open. Those of ours that lost their files run on.
func (k *Kernel) dhcpSockets(op Op) []sockets {
	d, ok := op.Want.(spec.DHCP)
	if !ok {
		return nil
	}
	own := func(pid int) bool {
		return slices.ContainsFunc([]role{leaf, front}, func(r role) bool {
			have, err := k.services.process(r, d.Network).find()
			return err == nil && have == pid
		})
	}
	var out []sockets
	for _, list := range k.services.dhcpListeners(d, op.Have) {
		out = append(out, sockets{list, own, "%s, or have it listen on addresses of its own only"})
	}
	return out
}

// dhcpListeners are the sockets that the dnsmasq of d will open beside those that the
// running ones of have hold, by what stands or falls together: DNS, DHCP, DHCPv6.
// dnsmasq sets the same options (2.90: network.c, make_sock; dhcp.c, make_fd; dhcp6.c).
func (s *services) dhcpListeners(d spec.DHCP, have any) [][]listener {
	var held []netip.Addr
	if h, ok := have.(spec.DHCP); ok && s.process(leaf, d.Network).pid() != 0 {
		held = h.Listen
	}
	var names, four, six []listener
	for _, a := range d.Listen {
		if slices.Contains(held, a) {
			continue
		}
		ports := []uint16{dnsPort}
		if len(d.Peers) > 0 {
			ports = append(ports, leafPort)
		}
		for _, port := range ports {
			at := netip.AddrPortFrom(a, port)
			for _, stream := range []bool{false, true} {
				names = append(names, listener{at: at, stream: stream, share: []int{unix.SO_REUSEADDR}})
			}
		}
	}
	if len(d.Peers) > 0 && len(d.Listen) > 0 && held == nil {
		at := netip.AddrPortFrom(d.Listen[0], namesPort)
		names = append(names, listener{at: at}, listener{at: at, stream: true, share: []int{unix.SO_REUSEADDR}},
			listener{at: netip.AddrPortFrom(d.Listen[0], spec.ClaimsPort)})
	}
	both := []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}
	for _, r := range d.Ranges {
		if r.Subnet.Addr().Is4() {
			four = []listener{{at: everywhere(dhcpPort)[0], share: both}}
		} else {
			six = []listener{{at: everywhere(dhcpv6Port)[1], share: both}}
		}
	}
	return [][]listener{names, four, six}
}

// Ports of DHCP servers (RFC 2131, RFC 8415).
const (
	dhcpPort   = 67
	dhcpv6Port = 547
)
