//go:build linux

package host

import (
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// UnderlayName says whether a device of this name can be a server's way to others:
// not loopback, nor what container engines and libvirt make.
func UnderlayName(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "vnet", "lxc", "lxdbr", "incusbr", "cni", "flannel", "cali", "podman"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return name != "lo"
}

// Uplink says whether a device is a way out of the server. A default route tells, whatever
// its name is. Of what has none, for the moment or because its router is away, a bridge
// is one if something else than containers and guests is plugged in, and the rest if it
// has not the name of what container engines make.
func (k *Host) Uplink(l netlink.Link) (bool, error) {
	_, bridge := l.(*netlink.Bridge)
	if !bridge && UnderlayName(l.Attrs().Name) {
		return true, nil
	}
	if bridge && slices.ContainsFunc(k.PortsOf(l.Attrs().Index), reachesOut) {
		return true, nil
	}
	if k.Routes == nil {
		if err := k.ReadRoutes(); err != nil {
			return false, err
		}
	}
	return k.Leads(l.Attrs().Index), nil
}

// Uplinks are the devices of others that are ways out of the server, sorted, as of the last
// look: a way has an address or a default route, which a container's unplugged end has not.
func (k *Host) Uplinks() ([]string, error) {
	used := map[int]bool{}
	for _, a := range k.Addrs {
		used[a.LinkIndex] = used[a.LinkIndex] || a.IP.IsGlobalUnicast()
	}
	var out []string
	for name, l := range k.Devices.ByName {
		at := l.Attrs().Index
		port, lent := k.Lent[at]
		if lent {
			at = port
		}
		if Flocks(l) && !lent || l.Attrs().MasterIndex != 0 || !used[at] && !k.Leads(at) {
			continue
		}
		if lent {
			out = append(out, name)
			continue
		}
		up, err := k.Uplink(l)
		if err != nil {
			return nil, err
		}
		if up {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// PortsOf lists the ports of a bridge.
func (k *Host) PortsOf(bridge int) []netlink.Link {
	var out []netlink.Link
	for _, l := range k.Devices.ByIndex {
		if l.Attrs().MasterIndex == bridge {
			out = append(out, l)
		}
	}
	return out
}

// reachesOut says whether a port is no container's and no guest's, nor a tunnel's.
func reachesOut(l netlink.Link) bool {
	switch l.(type) {
	case *netlink.Veth, *netlink.Tuntap, *netlink.Vxlan, *netlink.Dummy:
		return false
	}
	return !Flocks(l)
}

// Leads says whether a default route goes by the device with this index, in whatever
// table, as of the last look at routes.
func (k *Host) Leads(index int) bool {
	return slices.ContainsFunc(k.Routes, func(r netlink.Route) bool {
		if r.Type != unix.RTN_UNICAST || ToPrefix(r.Dst).Bits() > 0 {
			return false
		}
		return r.LinkIndex == index || slices.ContainsFunc(r.MultiPath, func(n *netlink.NexthopInfo) bool { return n.LinkIndex == index })
	})
}
