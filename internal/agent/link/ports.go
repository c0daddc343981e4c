//go:build linux

package link

import (
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// namePorts adds to the step that takes a bridge away whose interfaces are plugged in
// there: the kernel lets go of them without a word, and whoever made them is not told.
func namePorts(k *host.Host, op *family.Op) {
	if w, _ := op.Want.(spec.Link); w.Kind == spec.Port {
		if l := k.Devices.ByName[w.Name]; l != nil && l.Attrs().RawFlags&(unix.IFF_UP|unix.IFF_LOWER_UP) == unix.IFF_UP {
			op.Step.Detail += ", no cable is plugged in"
		}
		nameMoving(k, op, w)
		return
	}
	l, found := op.Have.(spec.Link)
	if found && l.Kind == spec.Port && op.Want == nil {
		nameMoving(k, op, l)
	}
	if !found || l.Kind != spec.Bridge || op.Want != nil {
		return
	}
	if ports := pluggedInto(k, l.Name); len(ports) > 0 {
		op.Step.Detail = spec.LosesBridge + strings.Join(ports, ", ")
	}
}

// pluggedInto are the interfaces of others on a bridge of ours, sorted.
func pluggedInto(k *host.Host, bridge string) []string {
	b := k.Devices.ByName[bridge]
	if b == nil {
		return nil
	}
	var out []string
	for _, l := range k.PlugsOf(b.Attrs().Index) {
		if !k.Held[l.Attrs().Index] {
			out = append(out, l.Attrs().Name)
		}
	}
	slices.Sort(out)
	return out
}

// Loose finds what was a port and is none any more, when its bridge went and came again
// or somebody else took it out (networkd with a [Match] of everything, NetworkManager
// after a restart): an end of a container or a guest that is up, and on no bridge,
// without an address and without a route. Nobody has to remember the port for that.
// Nothing is looked for where want has no bridge.
func Loose(k *host.Host, want *spec.Host) (ports, bridges []string) {
	for _, l := range want.Links {
		if l.Kind == spec.Bridge {
			bridges = append(bridges, l.Name)
		}
	}
	if len(bridges) == 0 {
		return nil, nil
	}
	used, given, taken := addressed(k), k.PortNotes(), portsOf(want)
	for index, l := range k.Devices.ByIndex {
		a := l.Attrs()
		if _, back := given[a.Name]; !back && !slices.Contains(taken, a.Name) && a.MasterIndex == 0 && a.RawFlags&unix.IFF_LOWER_UP != 0 && !used[index] && leadsInside(l) && !host.Flocks(l) {
			ports = append(ports, a.Name)
		}
	}
	if len(ports) == 0 {
		return nil, nil
	}
	slices.Sort(ports)
	return ports, bridges
}

// leadsInside says whether l is a container's (its other end is in another network
// namespace) or a guest's (TAP).
func leadsInside(l netlink.Link) bool {
	switch l := l.(type) {
	case *netlink.Veth:
		return l.NetNsID >= 0
	case *netlink.Tuntap:
		return l.Mode == netlink.TUNTAP_MODE_TAP
	}
	return false
}

// addressed are the devices, by index, that have an address or lead somewhere by a
// route, link-local ones aside, which the kernel gives to all.
func addressed(k *host.Host) map[int]bool {
	out := map[int]bool{}
	for _, a := range k.Addrs {
		if !a.IP.IsLinkLocalUnicast() {
			out[a.LinkIndex] = true
		}
	}
	for _, r := range k.Routes {
		if r.Table == unix.RT_TABLE_LOCAL || r.Dst != nil && (r.Dst.IP.IsLinkLocalUnicast() || r.Dst.IP.IsMulticast()) {
			continue
		}
		out[r.LinkIndex] = true
		for _, hop := range r.MultiPath {
			out[hop.LinkIndex] = true
		}
	}
	return out
}
