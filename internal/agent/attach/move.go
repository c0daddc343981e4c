//go:build linux

package attach

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// An interface that its container has from somebody else is moved to a bridge of ours: its
// pair stays, what it was stands in the mark, and it is that again when it is given back.

// movement is what is to happen to an interface of somebody else.
type movement struct {
	want, have spec.Attachment
	port, end  netlink.Link
	was        *former // nil: it bears no mark
}

// move plugs port into the bridge, and gives the other end its MAC. With its first bridge it
// loses the addresses that it had there.
func move(k *host.Host, s *Space, in *Inside, m movement) error {
	end := m.end.Attrs()
	// One that came so from its container's configuration needs no mark.
	native := m.was == nil && end.HardwareAddr.String() == m.want.MAC
	gone := lost(m.have.Addrs, m.want.Addrs)
	fresh := m.was == nil && !native
	if fresh {
		m.was = &former{bridge: k.Devices.Name(m.port.Attrs().MasterIndex), mac: end.HardwareAddr.String()}
		gone = in.Prefixes(end.Index)
		if keeperOf(m.want.Container) == nil { // which knows them otherwise
			m.was.addrs, m.was.gateways = gone, in.gateways(end.Index)
		}
	}
	plug, err := masterAttr(k, m.want.Bridge)
	if err != nil {
		return err
	}
	messages := []*nl.NetlinkRequest{changed(m.port.Attrs().Index, plug)}
	if !native {
		alias := nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(movedAlias(k.Cluster, m.want, m.was)))
		messages = append(messages, changed(m.port.Attrs().Index, alias))
	}
	if m.want.MTU != 0 {
		messages = append(messages, changed(m.port.Attrs().Index, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(m.want.MTU))))) //nolint:gosec // at most 65535
	}
	if err := k.RT.Do(messages...); err != nil {
		return fmt.Errorf("plug %s of %s in: %w", m.want.Interface, m.want.Container, err)
	}
	return s.turn(k, turned{index: end.Index, port: m.port.Attrs().Index, mac: m.want.MAC, gone: gone, ask: fresh && len(m.want.Addrs) == 0})
}

// giveBack makes the interface what it was before flock moved it.
func giveBack(k *host.Host, s *Space, in *Inside, have spec.Attachment, port netlink.Link, m mark) error {
	was := former{}
	if m.was != nil {
		was = *m.was
	}
	if keeper := keeperOf(have.Container); keeper != nil {
		said, err := keeper.former(have)
		if err != nil {
			return err
		}
		was = former{bridge: said.bridge, mac: cmp.Or(said.mac, was.mac), addrs: said.addrs, gateways: said.gateways}
	}
	messages := []*nl.NetlinkRequest{changed(port.Attrs().Index, nl.NewRtAttr(unix.IFLA_IFALIAS, nil))}
	bridge := k.Devices.ByName[was.bridge]
	index := 0
	if bridge != nil {
		index = bridge.Attrs().Index
		messages = append(messages, changed(port.Attrs().Index, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(bridge.Attrs().MTU))))) //nolint:gosec // at most 65535
	}
	messages = append(messages, changed(port.Attrs().Index, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(index))))) //nolint:gosec // the kernel's own number
	if err := k.RT.Do(messages...); err != nil {
		return fmt.Errorf("give %s of %s back: %w", have.Interface, have.Container, err)
	}
	if s == nil || in.Link(have.Interface) == nil {
		return nil
	}
	end := in.Link(have.Interface).Attrs().Index
	err := s.turn(k, turned{index: end, port: port.Attrs().Index, mac: was.mac, gone: in.Prefixes(end), ask: len(was.addrs) == 0})
	if err != nil {
		return err
	}
	back := spec.Attachment{Container: have.Container, Interface: have.Interface, Addrs: was.addrs, Gateways: was.gateways}
	if bridge != nil {
		back.MTU = bridge.Attrs().MTU
	}
	return s.Set(back)
}

// turned is how an interface in a container turns to another bridge.
type turned struct {
	index, port int            // of the interface, and of its other end on the server
	mac         string         // "": it keeps its own
	gone        []netip.Prefix // addresses that it loses
	ask         bool           // its DHCP client is to ask anew
}

// turn does what is to be done in the container. Those that ask see the cable come in again,
// and the client that does not look is told.
func (s *Space) turn(k *host.Host, t turned) error {
	var messages []*nl.NetlinkRequest
	for _, p := range t.gone {
		m := address(t.index, p)
		m.Type, m.Flags = unix.RTM_DELADDR, unix.NLM_F_REQUEST|unix.NLM_F_ACK
		messages = append(messages, m)
	}
	if mac, err := net.ParseMAC(t.mac); err == nil {
		messages = append(messages, changed(t.index, nl.NewRtAttr(unix.IFLA_ADDRESS, mac)))
	}
	if len(messages) > 0 {
		if err := s.rt.Do(messages...); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("turn an interface of %s to another bridge: %w", s.container, err)
		}
	}
	if !t.ask {
		return k.RT.Do(host.LinkMessage(0, t.port, unix.IFF_UP, unix.IFF_UP))
	}
	if err := k.RT.Do(host.LinkMessage(0, t.port, 0, unix.IFF_UP), host.LinkMessage(0, t.port, unix.IFF_UP, unix.IFF_UP)); err != nil {
		return fmt.Errorf("turn an interface of %s to another bridge: %w", s.container, err)
	}
	return s.askAgain()
}

// askAgain makes the udhcpc of a container ask anew: by its manual SIGUSR2 gives the lease
// back and SIGUSR1 asks for one. Other clients watch the cable, or ask when their lease ends.
func (s *Space) askAgain() error {
	its, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(s.FD))
	if err != nil {
		return err
	}
	pids, _, err := unit.Processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		name, _ := sysfile.ReadIfThere("/proc/" + pid + "/comm") // or it has just ended
		if number, err := strconv.Atoi(pid); err == nil && name == "udhcpc\n" && unit.SharesNetwork(pid, its) {
			_ = unix.Kill(number, unix.SIGUSR2) // likewise
			_ = unix.Kill(number, unix.SIGUSR1)
		}
	}
	return nil
}

// lost are those of before that are not in now.
func lost(before, now []netip.Prefix) []netip.Prefix {
	return spec.Without(before, func(p netip.Prefix) bool { return slices.Contains(now, p) })
}
