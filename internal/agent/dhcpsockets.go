//go:build linux

package agent

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// dhcpSockets are those that op has dnsmasq open. Those of ours that lost their files run on.
func dhcpSockets(k *host.Host, op family.Op) []host.Sockets {
	d, ok := op.Want.(spec.DHCP)
	if !ok {
		return nil
	}
	own := func(pid int) bool {
		return slices.ContainsFunc([]role{leaf, front}, func(r role) bool {
			have, err := servicesOf(k.Files).process(r, d.Network).find()
			return err == nil && have == pid
		})
	}
	var out []host.Sockets
	for _, list := range servicesOf(k.Files).dhcpListeners(d, op.Have) {
		out = append(out, host.Sockets{At: list, Own: own, Advice: "%s, or have it listen on addresses of its own only"})
	}
	return out
}

// dhcpListeners are the sockets that the dnsmasq of d will open beside those that the
// running ones of have hold, by what stands or falls together: DNS, DHCP, DHCPv6.
// dnsmasq sets the same options (2.90: network.c, make_sock; dhcp.c, make_fd; dhcp6.c).
func (s *services) dhcpListeners(d spec.DHCP, have any) [][]host.Listener {
	var held []netip.Addr
	if h, ok := have.(spec.DHCP); ok && s.process(leaf, d.Network).pid() != 0 {
		held = h.Listen
	}
	var names, four, six []host.Listener
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
				names = append(names, host.Listener{At: at, Stream: stream, Share: []int{unix.SO_REUSEADDR}})
			}
		}
	}
	if len(d.Peers) > 0 && len(d.Listen) > 0 && held == nil {
		at := netip.AddrPortFrom(d.Listen[0], namesPort)
		names = append(names, host.Listener{At: at}, host.Listener{At: at, Stream: true, Share: []int{unix.SO_REUSEADDR}},
			host.Listener{At: netip.AddrPortFrom(d.Listen[0], spec.ClaimsPort)})
	}
	both := []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}
	for _, r := range d.Ranges {
		if r.Subnet.Addr().Is4() {
			four = []host.Listener{{At: host.Everywhere(dhcpPort)[0], Share: both}}
		} else {
			six = []host.Listener{{At: host.Everywhere(dhcpv6Port)[1], Share: both}}
		}
	}
	return [][]host.Listener{names, four, six}
}

// Ports of DHCP servers (RFC 2131, RFC 8415).
const (
	dhcpPort   = 67
	dhcpv6Port = 547
)
