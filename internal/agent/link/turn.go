//go:build linux

package link

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// observeFlags completes links with what our tunnels and VLAN devices are to the bridges that they
// are ports of, by the ports' flags: one dump of all ports, where there is such a device.
func observeFlags(k *host.Host, links []spec.Link) error {
	if !slices.ContainsFunc(links, ownPort) {
		return nil
	}
	ports, err := k.RT.Links(unix.AF_BRIDGE, 0)
	if err != nil {
		return fmt.Errorf("look at the bridges' ports: %w", err)
	}
	texts := map[int][]byte{}
	for _, port := range ports {
		texts[int(nl.DeserializeIfInfomsg(port).Index)] = port
	}
	for i := range links {
		if l := &links[i]; ownPort(*l) && k.Devices.ByName[l.Name] != nil {
			flags := flagsOf(texts[k.Devices.ByName[l.Name].Attrs().Index])
			l.Turn = turnOf(flags)
			l.Extra = strings.TrimSpace(l.Extra + portExtra(flags, l.Turn))
		}
	}
	return nil
}

// ownPort says whether l is a port whose flags are ours: those of containers' and of others' are theirs.
func ownPort(l spec.Link) bool {
	return (l.Kind == spec.VXLAN || l.Kind == spec.VLAN) && l.Master != ""
}

// portFlag is a flag of a bridge's port, in bridge(8)'s word.
type portFlag struct {
	attr  int
	name  string
	quiet bool // off in a port that is spec.Quiet, on in all others
}

// portLocked is IFLA_BRPORT_LOCKED of linux/if_link.h, since linux 5.18: frames of whom the
// bridge does not know behind the port are dropped.
const portLocked = 39

// portFlags are the flags that decide which frames pass between a bridge and its port.
var portFlags = [...]portFlag{
	{nl.IFLA_BRPORT_LEARNING, "learning", true},
	{nl.IFLA_BRPORT_UNICAST_FLOOD, "flood", true},
	{nl.IFLA_BRPORT_MCAST_FLOOD, "mcast_flood", true},
	{nl.IFLA_BRPORT_BCAST_FLOOD, "bcast_flood", true},
	{portLocked, "locked", false},
	{nl.IFLA_BRPORT_ISOLATED, "isolated", false},
}

// portState is which flags a port has, and which of them are set, by attribute: its bit.
type portState struct{ known, set uint64 }

func (s portState) is(attr int) bool { return s.set&(1<<attr) != 0 }

// flagsOf reads a port's flags.
func flagsOf(port []byte) (s portState) {
	if len(port) < unix.SizeofIfInfomsg {
		return s // it went meanwhile
	}
	attrs, _ := nl.ParseRouteAttr(port[unix.SizeofIfInfomsg:]) // what is damaged has none
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED != unix.IFLA_PROTINFO {
			continue
		}
		flags, _ := nl.ParseRouteAttr(a.Value)
		for _, f := range flags {
			if len(f.Value) > 0 && f.Attr.Type < 64 {
				s.known |= 1 << f.Attr.Type
				if f.Value[0] != 0 {
					s.set |= 1 << f.Attr.Type
				}
			}
		}
	}
	return s
}

// turnOf is what a port with these flags is to its bridge.
func turnOf(s portState) string {
	switch {
	case !s.is(nl.IFLA_BRPORT_ISOLATED):
		return ""
	case s.is(nl.IFLA_BRPORT_UNICAST_FLOOD):
		return spec.Beside
	}
	return spec.Quiet
}

// wantedFlag is what flag f is to be in a port.
func wantedFlag(f portFlag, turn string) bool {
	if f.attr == nl.IFLA_BRPORT_ISOLATED {
		return turn != ""
	}
	return f.quiet && turn != spec.Quiet
}

// portExtra says which flags are others than in a port of this turn.
func portExtra(s portState, turn string) (extra string) {
	for _, f := range portFlags {
		if on := s.is(f.attr); s.known&(1<<f.attr) != 0 && on != wantedFlag(f, turn) {
			extra += " " + f.name + " " + onOff(on)
		}
	}
	return extra
}

// turnMessage makes a port what it is to be to its bridge. One that falls quiet is
// forgotten: frames to who was behind it are flooded, which the other way then takes.
// A kernel that does not have a flag passes it over.
func turnMessage(index int, turn string) *nl.NetlinkRequest {
	m := host.LinkMessage(0, index, 0, 0)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	rtnl.Nest(info, nl.IFLA_INFO_SLAVE_KIND, []byte(spec.Bridge))
	port := rtnl.Nest(info, nl.IFLA_INFO_SLAVE_DATA, nil)
	for _, f := range portFlags {
		var value uint8
		if wantedFlag(f, turn) {
			value = 1
		}
		rtnl.Nest(port, f.attr, nl.Uint8Attr(value))
	}
	if turn == spec.Quiet {
		rtnl.Nest(port, nl.IFLA_BRPORT_FLUSH, nil)
	}
	m.AddData(info)
	return m
}

// deviceExtra says what others set on a device of ours itself.
func deviceExtra(k *host.Host, l netlink.Link) string {
	var extra string
	if a := l.Attrs(); a.EncapType == "ether" && a.RawFlags&unix.IFF_NOARP != 0 {
		extra = "arp off"
	}
	if k.Devices.STP[l.Attrs().Index] {
		extra += " stp_state 1"
	}
	return strings.TrimSpace(extra)
}

// mendMessages take back what deviceExtra and portExtra name.
func mendMessages(index int, l spec.Link) []*nl.NetlinkRequest {
	out := []*nl.NetlinkRequest{host.LinkMessage(0, index, 0, unix.IFF_NOARP)}
	if l.Kind == spec.Bridge {
		m := host.LinkMessage(0, index, 0, 0)
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		rtnl.Nest(info, nl.IFLA_INFO_KIND, []byte(l.Kind))
		rtnl.Nest(rtnl.Nest(info, nl.IFLA_INFO_DATA, nil), nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
		m.AddData(info)
		out = append(out, m)
	}
	if ownPort(l) {
		out = append(out, turnMessage(index, l.Turn))
	}
	return out
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
