//go:build linux

package attach

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// Containers that Docker and Podman give addresses to ask no DHCP server, and other servers
// do not know of them. What they are called, the network's DNS here is told: names of
// containers, and those that Docker and Podman have for them in the network, compose's of services.

// tellNames tells DNS which containers are on h's networks of Docker's and Podman's. It says whether
// all of their names are known.
func tellNames(k *host.Host, h *spec.Host) (all bool, err error) {
	all = true
	if len(h.Dockers) == 0 {
		return all, nil
	}
	dockers, _ := dockerAll() // without Docker there are none
	containers, err := Names()
	if err != nil {
		return false, err
	}
	inside := looks{}
	for _, d := range h.Dockers {
		at := slices.IndexFunc(h.DHCPs, func(o spec.DHCP) bool { return o.Network == d.Network })
		if at < 0 {
			continue
		}
		names := map[string][]string{} // by address
		for _, container := range containers {
			kind, name, _ := strings.Cut(container, "/")
			if kind != spec.Docker && kind != spec.Podman {
				continue
			}
			in, err := inside.into(container)
			if err != nil || in == nil {
				continue // it goes
			}
			called := []string{name}
			for _, c := range dockers {
				if kind == spec.Docker && c.Name == name {
					called = append(called, c.NetworkSettings.Networks[d.Network].Aliases...)
				}
			}
			for _, a := range in.Addrs {
				if ip, _ := netip.AddrFromSlice(a.IP); d.Range.Contains(ip.Unmap()) {
					if kind == spec.Podman {
						aliases := podmanAliases(name, d.Network)
						called, all = append(called, aliases...), all && len(aliases) > 0
					}
					names[ip.Unmap().String()] = called
				}
			}
		}
		if err := k.DHCP.Tell(h.DHCPs[at], names); err != nil {
			return false, err
		}
	}
	return all, nil
}
