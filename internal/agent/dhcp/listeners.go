//go:build linux

package dhcp

import (
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/agent/written"
	"github.com/flocknet/flock/internal/spec"
)

// Listeners are the sockets that the dnsmasq of d will open beside those that the
// running ones of have hold, if there is one, by what stands or falls together: DNS, DHCP, DHCPv6.
// dnsmasq sets the same options (2.90: network.c, make_sock; dhcp.c, make_fd; dhcp6.c).
func (s *Server) Listeners(d spec.DHCP, have *spec.DHCP) [][]socket.Listener {
	var held []netip.Addr
	if have != nil && s.process(leaf, d.Network).pid() != 0 {
		held = have.Listen
	}
	var names, four, six []socket.Listener
	listen := d.Listen
	if held == nil {
		listen = slices.Concat(listen, linkLocal(d.Bridge))
	}
	for _, a := range listen {
		if slices.Contains(held, a) {
			continue
		}
		ports := []uint16{written.DNSPort}
		if len(d.Peers) > 0 && a.Zone() == "" {
			ports = append(ports, written.LeafPort)
		}
		for _, port := range ports {
			at := netip.AddrPortFrom(a, port)
			for _, stream := range []bool{false, true} {
				names = append(names, socket.Listener{At: at, Stream: stream, Share: []int{unix.SO_REUSEADDR}})
			}
		}
	}
	if len(d.Peers) > 0 && len(d.Listen) > 0 && held == nil {
		at := netip.AddrPortFrom(d.Listen[0], spec.NamesPort)
		names = append(names, socket.Listener{At: at}, socket.Listener{At: at, Stream: true, Share: []int{unix.SO_REUSEADDR}},
			socket.Listener{At: netip.AddrPortFrom(d.Listen[0], spec.ClaimsPort)})
	}
	both := []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}
	for _, r := range d.Ranges {
		if r.Subnet.Addr().Is4() {
			four = []socket.Listener{{At: socket.Everywhere(dhcpPort)[0], Share: both}}
		} else {
			six = []socket.Listener{{At: socket.Everywhere(dhcpv6Port)[1], Share: both}}
		}
	}
	return [][]socket.Listener{names, four, six}
}

// linkLocal are the addresses of a bridge on which dnsmasq listens, too, as far as they are
// there: it takes all that an interface has (network.c, iface_allowed).
func linkLocal(bridge string) (out []netip.Addr) {
	link, err := net.InterfaceByName(bridge)
	if err != nil {
		return nil
	}
	addrs, err := link.Addrs()
	if err != nil {
		return nil
	}
	for _, text := range addrs {
		if p, err := netip.ParsePrefix(text.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			out = append(out, p.Addr().WithZone(bridge))
		}
	}
	return out
}

// Owns says whether a process is a dnsmasq of network, also where its pid file is lost, or asks
// for names of it, or is that of another network of the cluster: no two have an address at the
// same time, but one whose name becomes the other.
func (s *Server) Owns(network string, pid int) bool {
	others, _ := s.networks() // what cannot be listed owns nothing
	return slices.ContainsFunc(append(others, network), func(network string) bool {
		return s.units.PID(s.NamesDaemon(network)) == pid || slices.ContainsFunc([]written.Role{leaf, front}, func(r written.Role) bool {
			have, err := s.process(r, network).find()
			return err == nil && have == pid
		})
	})
}

// Ports of DHCP servers (RFC 2131, RFC 8415).
const (
	dhcpPort   = 67
	dhcpv6Port = 547
)
