//go:build linux

package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// An interface that carries SSH or the underlay can be a port where its addresses, and the
// routes by it, are its bridge's. The bridge has its MAC address: neighbours and switches
// notice nothing.

// moved says whether what stands on a device of others is its bridge's.
func moved(k *host.Host, a *netlink.LinkAttrs, master netlink.Link, note host.SettingNote, moving bool) bool {
	switch {
	case !moving:
		return note.Set != ""
	case master != nil && string(master.Attrs().HardwareAddr) != string(a.HardwareAddr):
		return false
	case k.Lender()[a.Name] != "":
		return !k.Astray[a.Index]
	}
	return !addressed(k)[a.Index]
}

// plug makes a a port, by m, and brings what stands on it to where want says.
func plug(k *host.Host, a *netlink.LinkAttrs, want spec.Link, m *nl.NetlinkRequest) error {
	b := k.Devices.ByName[want.Master].Attrs()
	notes := k.PortNotes()
	note := notes[a.Name]
	if !want.Moves {
		err := k.RT.Do(m)
		if err == nil && note.Set != "" { // the way back to a port that moved nothing
			err = giveBack(k, b)
			notes[a.Name] = host.SettingNote{Found: note.Found}
			err = errors.Join(err, k.NotePorts(notes))
		}
		return err
	}
	note.Set = want.Master
	notes[a.Name] = note
	if err := k.NotePorts(notes); err != nil { // before anything is there that must not be lost
		return err
	}
	c := haul{from: a, to: b}
	return c.do(k, macMessage(b.Index, a.HardwareAddr), host.UpMessage(k.Devices.ByIndex[b.Index]), m)
}

// giveBack has what is others' on a bridge of ours stand where it came from, and sends last.
func giveBack(k *host.Host, bridge *netlink.LinkAttrs, last ...*nl.NetlinkRequest) error {
	for dev, at := range k.Lender() {
		l := k.Devices.ByName[dev]
		if at != bridge.Name || l == nil {
			continue
		}
		c := haul{from: bridge, to: l.Attrs(), back: true, last: last}
		if err := c.do(k); err != nil {
			return fmt.Errorf("bring the addresses of %s back: %w", dev, err)
		}
	}
	return nil
}

// nameMoving adds to the step of a port what moves with it, and who set that.
func nameMoving(k *host.Host, op *family.Op, port spec.Link) {
	l := k.Devices.ByName[port.Name]
	if l == nil || !port.Moves {
		return
	}
	var list []string
	for i := range k.Addrs {
		if a := &k.Addrs[i]; a.LinkIndex == l.Attrs().Index && !host.Bound(a.IP) {
			list = append(list, host.ToPrefix(a.IPNet).String())
		}
	}
	for i := range k.Routes {
		r := &k.Routes[i]
		if r.LinkIndex == l.Attrs().Index && host.Passes(r) && r.Protocol != unix.RTPROT_KERNEL {
			list = append(list, routeText(r))
		}
	}
	const most = 40
	if len(list) > most {
		list = append(list[:most], "and more")
	}
	if len(list) == 0 {
		return
	}
	what := strings.Join(list, ", ")
	if op.Want == nil {
		op.Step.Detail = what + " come back to it"
		return
	}
	op.Step.Detail += ", to " + port.Master + " move " + what
	if by := manager(k, l.Attrs()); by != "" {
		op.Step.Detail += "; " + by + " sets them on " + port.Name + " at boot, and flock moves them then"
	}
}

func routeText(r *netlink.Route) string {
	text := "default"
	if p := host.ToPrefix(r.Dst); p.Bits() > 0 {
		text = p.String()
	}
	if r.Gw != nil {
		text += " via " + r.Gw.String()
	}
	if r.Priority != 0 {
		text += " metric " + strconv.Itoa(r.Priority)
	}
	if r.Table != unix.RT_TABLE_MAIN {
		text += " table " + strconv.Itoa(r.Table)
	}
	return text
}

const networkManager = "NetworkManager"

// manager is the program that gives a device its addresses at boot; "": none is known.
func manager(k *host.Host, a *netlink.LinkAttrs) string {
	index := strconv.Itoa(a.Index)
	networkd, _ := os.ReadFile(filepath.Join(filepath.Dir(k.Paths.Netif), "links", index))
	nm, _ := os.ReadFile(filepath.Join(k.Paths.NMRun, "devices", index))
	switch {
	case strings.Contains(string(nm), "managed=true"):
		return networkManager
	case strings.Contains(string(networkd), "ADMIN_STATE=configur"):
		return "systemd-networkd"
	case sysfile.Exists("/run/network/ifstate." + a.Name):
		return "ifupdown"
	}
	return ""
}

// immovable says why the addresses of a device cannot be a bridge's; nil: they can, or are.
func immovable(k *host.Host, a *netlink.LinkAttrs) *spec.Problem {
	if k.Lender()[a.Name] != "" {
		return nil
	}
	ra, err := sysfile.Read("/proc/sys/net/ipv6/conf/" + a.Name + "/accept_ra")
	hears := err == nil && ra[0] != '0' // the kernel renews what routers announce, on the bridge too
	const instead = "another interface, or a VLAN on this one (--vlan)"
	by := manager(k, a)
	if by == networkManager {
		return &spec.Problem{What: networkManager + " has it, and would put its addresses back", Next: instead + "; or have its addresses set by another program, nmcli device set " + a.Name + " managed no"}
	}
	if by == "" {
		by = "a DHCP client"
	}
	for i := range k.Addrs {
		at := &k.Addrs[i]
		if at.LinkIndex != a.Index || at.Flags&unix.IFA_F_PERMANENT != 0 {
			continue
		}
		if p := host.ToPrefix(at.IPNet); p.Addr().Is4() || p.IsSingleIP() || !hears {
			return &spec.Problem{
				What: p.String() + " is a lease, which " + by + " renews on " + a.Name + " and nowhere else",
				Next: "give the server that address for good, in the files of what configures " + a.Name + ", or " + instead,
			}
		}
	}
	return nil
}
