//go:build linux

package host

import (
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// What was moved from an interface of others to a bridge of ours is theirs still, and goes
// back there. For all who look it stands where it came from: it is no address of the
// bridge's, and a fact about the interface.

// Lender is the name of the bridge that has, or is to have, what stood on each interface of
// others, by that one's name.
func (k *Host) Lender() map[string]string {
	out := map[string]string{}
	if last := k.Last(); last != nil { // whose note may be lost
		for i := range last.Links {
			if last.Links[i].Moves {
				out[last.Links[i].Name] = last.Links[i].Master
			}
		}
	}
	for dev, note := range k.PortNotes() {
		if note.Set != "" {
			out[dev] = note.Set
		}
	}
	return out
}

// readLent finds the bridges that have what is others'.
func (k *Host) readLent() {
	k.Lent, k.Astray = map[int]int{}, map[int]bool{}
	for dev, bridge := range k.Lender() {
		port := 0
		if l := k.Devices.ByName[dev]; l != nil {
			port = l.Attrs().Index
		}
		if l := k.Devices.ByName[bridge]; l != nil && k.Ours(l.Attrs().Index) {
			k.Lent[l.Attrs().Index] = port
		}
	}
}

// lendAddrs has addresses stand where they came from.
func (k *Host) lendAddrs() {
	for i := range k.Addrs {
		if a := &k.Addrs[i]; !Bound(a.IP) {
			k.lend(&a.LinkIndex)
		}
	}
}

// lendRoutes is lendAddrs for routes. Those of ours go by the bridge.
func (k *Host) lendRoutes() {
	if len(k.Lent) == 0 {
		return
	}
	for i := range k.Routes {
		r := &k.Routes[i]
		if !Passes(r) {
			continue
		}
		k.lend(&r.LinkIndex)
		for _, hop := range r.MultiPath {
			k.lend(&hop.LinkIndex)
		}
	}
}

func (k *Host) lend(index *int) {
	if port, lent := k.Lent[*index]; lent {
		*index = port
		return
	}
	for _, port := range k.Lent {
		if port == *index && port != 0 {
			k.Astray[port] = true
		}
	}
}

// Bound says whether an address belongs to its device alone.
func Bound(ip net.IP) bool { return ip.To4() == nil && (ip.IsLinkLocalUnicast() || ip.IsMulticast()) }

// Passes says whether r moves with the addresses of its device: the kernel's own entries
// come with those, and what is ours goes where the spec says.
func Passes(r *netlink.Route) bool {
	return r.Table != unix.RT_TABLE_LOCAL && r.Protocol != spec.RouteProto && r.Protocol != spec.RouteProtoBGP && (r.Dst == nil || !Bound(r.Dst.IP))
}
