//go:build linux

package link

import (
	"net"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// routeUnderlay is a device of others that a route goes by, and that has no address yet
// which it can go by.
func routeUnderlay(want *spec.Host, _ map[netip.Addr]bool) string {
	for _, r := range want.Routes {
		ours := slices.ContainsFunc(want.Links, func(l spec.Link) bool { return l.Name == r.Dev })
		if r.Via.IsValid() && !ours && !hasAddress(r.Dev, r.Via.Is6()) {
			return "an address of device " + r.Dev
		}
	}
	return ""
}

// linkUnderlay is an address or a device that a tunnel begins at, and that is not there.
// A tunnel in another of ours begins at an address that we bring along.
func linkUnderlay(want *spec.Host, there map[netip.Addr]bool) string {
	for _, l := range want.Links {
		if l.Tunnel == nil {
			continue
		}
		ours := slices.ContainsFunc(want.Addrs, func(a spec.Addr) bool { return a.Prefix.Addr() == l.Tunnel.Local })
		if l.Tunnel.Local.IsValid() && !there[l.Tunnel.Local] && !ours {
			return "address " + l.Tunnel.Local.String()
		}
		if l.Tunnel.Dev == "" {
			continue
		}
		if _, err := net.InterfaceByName(l.Tunnel.Dev); err != nil {
			return "device " + l.Tunnel.Dev
		}
	}
	return ""
}

// hasAddress says whether a device has an address that routes can go by.
func hasAddress(dev string, v6 bool) bool {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return false
	}
	addrs, err := i.Addrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Is6() == v6 && !p.Addr().IsLinkLocalUnicast()
	})
}
