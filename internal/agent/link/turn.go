//go:build linux

package link

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// observeTurns completes links with what tunnels are to the bridges that they are ports of, by
// the ports' flags: one dump of all ports, where there is such a tunnel.
func observeTurns(k *host.Host, links []spec.Link) error {
	tunnel := func(l spec.Link) bool { return l.Kind == spec.VXLAN && l.Master != "" }
	if !slices.ContainsFunc(links, tunnel) {
		return nil
	}
	ports, err := k.RT.Links(unix.AF_BRIDGE, 0)
	if err != nil {
		return fmt.Errorf("look at the bridges' ports: %w", err)
	}
	turns := map[int]string{}
	for _, port := range ports {
		turns[int(nl.DeserializeIfInfomsg(port).Index)] = turnOf(port)
	}
	for i, l := range links {
		if d := k.Devices.ByName[l.Name]; d != nil && tunnel(l) {
			links[i].Turn = turns[d.Attrs().Index]
		}
	}
	return nil
}

// turnOf reads a port's flags.
func turnOf(port []byte) string {
	isolated, floods := false, false
	attrs, _ := nl.ParseRouteAttr(port[unix.SizeofIfInfomsg:]) // what is damaged has none
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED != unix.IFLA_PROTINFO {
			continue
		}
		flags, _ := nl.ParseRouteAttr(a.Value)
		for _, f := range flags {
			switch set := len(f.Value) > 0 && f.Value[0] != 0; f.Attr.Type {
			case nl.IFLA_BRPORT_ISOLATED:
				isolated = set
			case nl.IFLA_BRPORT_UNICAST_FLOOD:
				floods = set
			}
		}
	}
	switch {
	case !isolated:
		return ""
	case floods:
		return spec.Beside
	}
	return spec.Quiet
}

// turnMessage makes a port what it is to be to its bridge. One that falls quiet is
// forgotten: frames to who was behind it are flooded, which the other way then takes.
func turnMessage(index int, turn string) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	rtnl.Nest(info, nl.IFLA_INFO_SLAVE_KIND, []byte(spec.Bridge))
	port := rtnl.Nest(info, nl.IFLA_INFO_SLAVE_DATA, nil)
	flag := func(attr int, on bool) {
		var value uint8
		if on {
			value = 1
		}
		rtnl.Nest(port, attr, nl.Uint8Attr(value))
	}
	flag(nl.IFLA_BRPORT_ISOLATED, turn != "")
	for _, attr := range []int{nl.IFLA_BRPORT_LEARNING, nl.IFLA_BRPORT_UNICAST_FLOOD, nl.IFLA_BRPORT_MCAST_FLOOD, nl.IFLA_BRPORT_BCAST_FLOOD} {
		flag(attr, turn != spec.Quiet)
	}
	if turn == spec.Quiet {
		rtnl.Nest(port, nl.IFLA_BRPORT_FLUSH, nil)
	}
	m.AddData(info)
	return m
}

// renameLink gives a living link another name, with all that stands on it.
func renameLink(k *host.Host, to, from string) error {
	if to == from {
		return nil
	}
	index, err := k.Index(from)
	if err != nil {
		return err
	}
	m := host.LinkMessage(0, index, 0, 0)
	rtnl.Put(m, unix.IFLA_IFNAME, nl.ZeroTerminated(to))
	if err := k.RT.Do(m); err != nil {
		return err
	}
	return k.ReadDevices()
}
