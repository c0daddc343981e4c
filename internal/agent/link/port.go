//go:build linux

package link

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// A device of others that is a port of a bridge of ours bears no mark. Which ones are ours
// to give back say what is wanted, what was confirmed and a note; the note alone says how
// they were found.

// portsOf are the devices that a spec puts into bridges.
func portsOf(h *spec.Host) []string {
	var out []string
	if h != nil {
		for i := range h.Links {
			if h.Links[i].Kind == spec.Port {
				out = append(out, h.Links[i].Name)
			}
		}
	}
	return out
}

// observePorts are the devices that were ever to be ports, and are one of a bridge of ours,
// or of none. One that somebody put into a bridge of their own is theirs.
func observePorts(k *host.Host, want *spec.Host) []spec.Link {
	devs, moving := k.PortNotes(), map[string]bool{}
	for i := range want.Links {
		moving[want.Links[i].Name] = want.Links[i].Moves
	}
	for _, dev := range append(portsOf(want), portsOf(k.Last())...) {
		if _, known := devs[dev]; !known {
			devs[dev] = host.SettingNote{}
		}
	}
	var out []spec.Link
	for dev, note := range devs {
		l := k.Devices.ByName[dev]
		if l == nil {
			continue
		}
		p := spec.Link{Name: dev, Kind: spec.Port, Down: l.Attrs().Flags&net.FlagUp == 0, Stiff: true}
		master, ours := k.Devices.ByIndex[l.Attrs().MasterIndex], false
		p.Moves = moved(k, l.Attrs(), master, note, moving[dev])
		if p.Network, ours = k.Network(master); ours {
			p.Master = master.Attrs().Name
		}
		if ours || master == nil && note.Found == host.WasDown && !p.Down { // or taken out behind our back, and to be set down yet
			out = append(out, p)
		}
	}
	return out
}

// notePorts remembers how want's ports were found, before they are touched.
func notePorts(k *host.Host, want *spec.Host) error {
	if len(portsOf(want)) == 0 {
		return nil
	}
	return storePorts(k, want, k.PortNotes())
}

// storePorts writes the note: want's ports, and those of more.
func storePorts(k *host.Host, want *spec.Host, more map[string]host.SettingNote) error {
	was := k.PortNotes()
	for _, dev := range portsOf(want) {
		note, known := was[dev]
		if l := k.Devices.ByName[dev]; !known && l != nil && l.Attrs().Flags&net.FlagUp == 0 {
			note.Found = host.WasDown
		}
		more[dev] = note
	}
	return k.NotePorts(more)
}

// takePort puts a device of others into its bridge. It is set up for the search for a loop.
func takePort(k *host.Host, want spec.Link) error {
	l := k.Devices.ByName[want.Name]
	if l == nil {
		return fmt.Errorf("there is no device %s", want.Name)
	}
	why := unfitPort(k, l, want)
	if why == nil {
		if err := k.RT.Do(host.UpMessage(l)); err != nil {
			return err
		}
		why = loop(k, l, want.Master)
	}
	if why != nil {
		return hint.Errorf("", why.Next, "%s", why.What)
	}
	m, err := masterMessage(k, l.Attrs().Index, want.Master)
	if err == nil {
		err = plug(k, l.Attrs(), want, m)
	}
	if err != nil {
		return err
	}
	return k.ReadDevices()
}

// releasePort takes l out of a bridge of ours, and sets it down if it was.
func releasePort(k *host.Host, l netlink.Link) error {
	m, err := masterMessage(k, l.Attrs().Index, "")
	b := k.Devices.ByName[k.Lender()[l.Attrs().Name]]
	switch {
	case err != nil:
	case b != nil: // as a port it sends already; without its bridge's addresses nobody would
		err = giveBack(k, b.Attrs(), m)
	default:
		err = k.RT.Do(m)
	}
	if err == nil && k.PortNotes()[l.Attrs().Name].Found == host.WasDown {
		err = k.RT.Do(host.LinkMessage(0, l.Attrs().Index, 0, unix.IFF_UP))
	}
	if err != nil {
		return err
	}
	return k.ReadDevices()
}

// claimPorts says which devices cannot be ports.
func claimPorts(_ context.Context, k *host.Host, _ *spec.Host, ops []family.Op) ([]spec.Problem, error) {
	var out []spec.Problem
	for i := range ops {
		p, _ := ops[i].Want.(spec.Link)
		dev, why := p.Name, (*spec.Problem)(nil)
		switch l := k.Devices.ByName[dev]; {
		case p.Kind == spec.Port && l != nil:
			if at := k.Lender()[dev]; at != "" && at == p.Master && !p.Moves {
				why = &spec.Problem{What: "its addresses are on " + at, Next: "take it out first, which brings them back: flock delnetwork " + p.Network + " SERVER"}
			} else if why = unfitPort(k, l, p); why == nil {
				why = loop(k, l, p.Master)
			}
		case p.Kind == spec.VLAN && l == nil:
			dev, why = p.Tunnel.Dev, unfitVLAN(k, p)
		}
		if why != nil {
			why.What = dev + " cannot be a port of network " + p.Network + ": " + why.What
			out = append(out, *why)
		}
	}
	return out, nil
}

// unfitPort says why l cannot be the port that is wanted; nil: it can, or is one.
func unfitPort(k *host.Host, l netlink.Link, want spec.Link) *spec.Problem {
	a := l.Attrs()
	if want.Moves {
		if why := immovable(k, a); why != nil {
			return why
		}
	}
	master := k.Devices.ByIndex[a.MasterIndex]
	if _, ours := k.Network(master); ours {
		return nil
	}
	if why := unfitDevice(l); why != nil {
		return why
	}
	if master != nil {
		return &spec.Problem{What: "it is a port of " + master.Attrs().Name + " (" + master.Type() + ")", Next: "ip link set " + a.Name + " nomaster, or another interface"}
	}
	for _, at := range k.Addrs {
		if at.LinkIndex == a.Index && !at.IP.IsLinkLocalUnicast() && !want.Moves {
			p := host.ToPrefix(at.IPNet).String()
			return &spec.Problem{
				What: "it has the address " + p + ", which a port cannot use",
				Next: "flock addnetwork " + want.Network + " SERVER:" + a.Name + " --move-addresses, another interface, or a VLAN on this one: flock setnetwork " + want.Network + " --vlan N",
			}
		}
	}
	if addressed(k)[a.Index] && !want.Moves {
		return &spec.Problem{What: "routes lead by it", Next: "ip route show dev " + a.Name}
	}
	return nil
}

// unfitDevice says why the kernel, or what is on the other end, does not take l as a port.
func unfitDevice(l netlink.Link) *spec.Problem {
	a, what := l.Attrs(), ""
	switch {
	case a.Flags&net.FlagLoopback != 0:
		what = "it is the loopback device"
	case host.Flocks(l):
		what = "flock made it for " + strings.TrimPrefix(a.Alias, spec.AliasPrefix)
	case l.Type() == spec.Bridge:
		what = "it is a bridge"
	case sysfile.Exists("/sys/class/net/" + a.Name + "/phy80211"):
		what = "it is wireless, and takes no frames of others"
	case a.EncapType != "ether":
		what = "it has no Ethernet (" + a.EncapType + ")"
	default:
		return nil
	}
	return &spec.Problem{What: what, Next: "another interface: ip -br link"}
}

// unfitVLAN says why l cannot be made on its device; nil: it can. One that has addresses
// keeps them: its frames have no tag.
func unfitVLAN(k *host.Host, l spec.Link) *spec.Problem {
	below := k.Devices.ByName[l.Tunnel.Dev]
	if below == nil {
		return &spec.Problem{What: "there is no such device", Next: "ip -br link"}
	}
	if why := unfitDevice(below); why != nil && below.Type() != spec.Bridge {
		return why
	}
	if below.Attrs().Flags&net.FlagUp == 0 {
		return &spec.Problem{What: "it is down", Next: "ip link set " + l.Tunnel.Dev + " up"}
	}
	for name, other := range k.Devices.ByName {
		v, ok := other.(*netlink.Vlan)
		if ok && v.ParentIndex == below.Attrs().Index && v.VlanId == int(l.Tunnel.VNI) {
			return &spec.Problem{What: fmt.Sprintf("VLAN %d on it is %s's already", v.VlanId, name), Next: "flock setnetwork " + l.Network + " --vlan N, or ip link delete " + name}
		}
	}
	return nil
}
