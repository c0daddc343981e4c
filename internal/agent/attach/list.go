//go:build linux

package attach

import (
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// List says which containers there are. It looks at the server anew.
func List(k *host.Host) ([]spec.Container, error) {
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
	plugged, err := pluggedByHand(k, known)
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

// pluggedByHand are the ports of our bridges that lead to no container we know, with the
// address that was last heard there.
func pluggedByHand(k *host.Host, known map[int]bool) ([]spec.ContainerInterface, error) {
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
	return out, nil
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
