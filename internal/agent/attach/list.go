//go:build linux

package attach

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// List says which containers there are; leased are the addresses that the server dealt out, by MAC.
// It looks at the server anew.
func List(k *host.Host, leased map[string][]netip.Addr) ([]spec.Container, error) {
	if err := k.Look(); err != nil {
		return nil, err
	}
	names, err := Names()
	if err != nil {
		return nil, err
	}
	kept, err := keptObjects(k.Cluster)
	if err != nil {
		return nil, err
	}
	var out []spec.Container
	known := map[int]bool{}
	for _, name := range names {
		if guestsOf(name) != nil {
			continue
		}
		in, err := lookInto(name)
		if err != nil {
			return nil, err
		}
		c := spec.Container{Name: name, Stopped: in == nil, User: ownerOf(name)}
		if in != nil {
			c.Interfaces = interfacesOf(k, name, in, known, kept)
		}
		out = append(out, c)
	}
	machines, err := guests.list(k, known)
	if err != nil {
		return nil, err
	}
	for i := range machines {
		if err := addressed(k, machines[i].Interfaces, leased); err != nil {
			return nil, err
		}
	}
	out = append(out, machines...)
	slices.SortFunc(out, func(a, b spec.Container) int { return strings.Compare(a.Name, b.Name) })
	plugged, err := pluggedByHand(k, known, leased)
	if err != nil {
		return nil, err
	}
	if len(plugged) > 0 {
		out = append(out, spec.Container{Interfaces: plugged})
	}
	return out, nil
}

// keptObjects are the interfaces that containers keep for cluster.
func keptObjects(cluster string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, s := range sorts {
		if s.keeper == nil {
			continue
		}
		list, err := s.kept(cluster)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			out[one.a.Object()] = true
		}
	}
	return out, nil
}

// interfacesOf lists what a container has, and notes the indexes of other ends here.
func interfacesOf(k *host.Host, name string, in *Inside, known map[int]bool, kept map[string]bool) []spec.ContainerInterface {
	var out []spec.ContainerInterface
	for _, l := range in.Links {
		a := l.Attrs()
		if a.Name == "lo" {
			continue
		}
		i := spec.ContainerInterface{Name: a.Name, MAC: a.HardwareAddr.String(), Addrs: in.Prefixes(a.Index)}
		if port := portIn(k, in, a.Name); port != nil {
			known[port.Attrs().Index] = true
			i.Port, i.Bridge = port.Attrs().Name, k.Devices.Name(port.Attrs().MasterIndex)
			switch {
			case host.Flocks(port):
				i.Owner, _, _ = strings.Cut(strings.TrimPrefix(port.Attrs().Alias, spec.AliasPrefix), "/")
			case kept[(spec.Attachment{Container: name, Interface: a.Name}).Object()]:
				i.Owner = k.Cluster
			}
		}
		out = append(out, i)
	}
	return out
}

// pluggedByHand are the ports of our bridges that lead to no container we know, with the MAC
// that was last heard there, and the addresses that the server knows it by.
func pluggedByHand(k *host.Host, known map[int]bool, leased map[string][]netip.Addr) ([]spec.ContainerInterface, error) {
	var out []spec.ContainerInterface
	at := map[int]int{}
	for _, bridge := range ourBridges(k) {
		for _, name := range handMade(k, bridge) {
			if l := k.Devices.ByName[name]; !known[l.Attrs().Index] {
				at[l.Attrs().Index] = len(out)
				out = append(out, spec.ContainerInterface{Port: name, Bridge: bridge})
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	heard, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return k.Handle.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return nil, err
	}
	for _, n := range heard {
		if i, is := at[n.LinkIndex]; is && n.State&netlink.NUD_PERMANENT == 0 {
			out[i].MAC = n.HardwareAddr.String()
		}
	}
	return out, addressed(k, out, leased)
}

// addressed completes ports with the addresses that their MACs have on the bridge: by the server's
// leases, and where it has talked to them.
func addressed(k *host.Host, ports []spec.ContainerInterface, leased map[string][]netip.Addr) error {
	talked, err := rtnl.Dump(func() ([]netlink.Neigh, error) { return k.Handle.NeighList(0, unix.AF_UNSPEC) })
	if err != nil {
		return err
	}
	for i := range ports {
		p := &ports[i]
		at := k.Devices.ByName[p.Bridge]
		if at == nil {
			continue // a guest that does not run may have one that is gone
		}
		bridge := at.Attrs().Index
		add := func(a netip.Addr) {
			if own := netip.PrefixFrom(a, bitsOf(k, bridge, a)); own.Bits() > 0 && !slices.Contains(p.Addrs, own) {
				p.Addrs = append(p.Addrs, own)
			}
		}
		for _, a := range leased[p.MAC] {
			add(a)
		}
		for _, n := range talked {
			if n.LinkIndex == bridge && p.MAC != "" && n.HardwareAddr.String() == p.MAC {
				add(host.ToAddr(n.IP))
			}
		}
	}
	return nil
}

// bitsOf is the length of the subnet of a device's own that a is in, 0 if it is in none.
func bitsOf(k *host.Host, device int, a netip.Addr) int {
	longest := 0
	for _, own := range k.Addrs {
		p := host.ToPrefix(own.IPNet)
		if own.LinkIndex == device && p.Bits() < a.BitLen() && p.Contains(a) && !a.IsLinkLocalUnicast() {
			longest = max(longest, p.Bits())
		}
	}
	return longest
}

// handMade are the ports of a bridge that flock did not plug in.
func handMade(k *host.Host, bridge string) []string {
	var out []string
	for _, l := range k.PlugsOf(k.Devices.ByName[bridge].Attrs().Index) {
		out = append(out, l.Attrs().Name)
	}
	slices.Sort(out)
	return out
}

// ourBridges are the bridges of the cluster, in order of name.
func ourBridges(k *host.Host) []string {
	var out []string
	for name, l := range k.Devices.ByName {
		if _, ours := k.Network(l); ours && l.Type() == spec.Bridge {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
