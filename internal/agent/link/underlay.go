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
func linkUnderlay(want *spec.Host, there map[netip.Addr]bool) string {
	for _, l := range want.Links {
		if missing := lacks(l, want, there); missing != "" {
			return missing
		}
	}
	return ""
}

// lacks is what l begins at, and that is not there. A tunnel in another of ours begins at
// an address that we bring along.
func lacks(l spec.Link, want *spec.Host, there map[netip.Addr]bool) string {
	if l.Moves && !hasAddress(l.Name, false) && !hasAddress(l.Name, true) && !hasAddress(l.Master, false) && !hasAddress(l.Master, true) {
		return "an address of device " + l.Name
	}
	if l.Tunnel == nil {
		return ""
	}
	ours := slices.ContainsFunc(want.Addrs, func(a spec.Addr) bool { return a.Prefix.Addr() == l.Tunnel.Local })
	if l.Tunnel.Local.IsValid() && !there[l.Tunnel.Local] && !ours {
		return "address " + l.Tunnel.Local.String()
	}
	if l.Tunnel.Dev != "" && !isThere(l.Tunnel.Dev) {
		return "device " + l.Tunnel.Dev
	}
	return ""
}

func isThere(device string) bool {
	_, err := net.InterfaceByName(device)
	return err == nil
}

// Early is what of want containers and guests start on, and what can be made while the
// underlay is not there yet: links, what stands on them alone, and the rules for it. A link
// whose underlay is missing is left out, and so is what is for the whole server; and links
// that are processes (WireGuard's may be one), unless processes.
func Early(want *spec.Host, there map[netip.Addr]bool, processes bool) *spec.Host {
	early, bare := map[string]bool{}, map[string]bool{}
	out := &spec.Host{
		Cluster: want.Cluster, Store: want.Store, Server: want.Server, Generation: want.Generation,
		Gateways: want.Gateways, Guards: want.Guards, Doors: want.Doors, NATs: want.NATs, Keeps: want.Keeps, Forwards: want.Forwards,
		Envs: want.Envs,
	}
	if want.BGP != nil { // whose subnets are announced is for the rules; the daemon is not
		out.BGP = &spec.BGP{Network: want.BGP.Network}
	}
	for _, l := range want.Links {
		process := l.Kind == spec.WireGuard || l.Kind == spec.UDP
		if l.Moves && lacks(l, want, there) != "" {
			bare[l.Master] = true // nothing can be routed by it yet
			continue
		}
		if lacks(l, want, there) == "" && (processes || !process) || isThere(l.Name) {
			early[l.Name] = true
			out.Links = append(out.Links, l)
		}
	}
	out.Addrs = on(early, want.Addrs, func(a spec.Addr) string { return a.Link })
	out.Neighs = on(early, want.Neighs, func(n spec.Neigh) string { return n.Link })
	out.FDB = on(early, want.FDB, func(f spec.FDB) string { return f.Link })
	out.Floods = on(early, want.Floods, func(f spec.Flood) string { return f.Link })
	out.Sysctls = on(early, want.Sysctls, func(s spec.Sysctl) string { return s.Link })
	for bridge := range bare {
		delete(early, bridge)
	}
	out.Routes = on(early, want.Routes, func(r spec.Route) string { return r.Dev })
	return out
}

// on are those of list that stand on links.
func on[T any](links map[string]bool, list []T, link func(T) string) []T {
	return spec.Without(list, func(v T) bool { return !links[link(v)] })
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
