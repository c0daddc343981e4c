//go:build linux

package attach

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

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

// move plugs port into the bridge, and gives the other end its MAC. With the bridge that it was on
// it loses the addresses that it had there.
func move(k *host.Host, s *Space, in *Inside, m movement) error {
	end := m.end.Attrs()
	// One that came so from its container's configuration needs no mark.
	native := m.was == nil && end.HardwareAddr.String() == m.want.MAC
	gone, is := lost(m.have.Addrs, m.want.Addrs), k.Devices.Name(m.port.Attrs().MasterIndex)
	fresh := m.was == nil && !native
	turns := fresh || is != "" && is != m.want.Bridge
	if fresh {
		m.was = &former{bridge: is, mac: end.HardwareAddr.String()}
		if keeperOf(m.want.Container) == nil { // which knows them otherwise
			m.was.addrs, m.was.gateways = in.Prefixes(end.Index), in.gateways(end.Index)
		}
	}
	if turns {
		gone = lost(in.Prefixes(end.Index), m.want.Addrs)
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
	t := turned{of: m.want, index: end.Index, port: m.port.Attrs().Index, mac: m.want.MAC, gone: gone}
	if fixed, had := ipv4Of(m.want.Addrs), ipv4Of(m.have.Addrs); turns || fixed != had {
		t.fixed, t.ask = fixed, !fixed.IsValid()
	}
	return s.turn(k, t)
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
	fixed := ipv4Of(was.addrs)
	err := s.turn(k, turned{of: have, index: end, port: port.Attrs().Index, mac: was.mac, gone: in.Prefixes(end), fixed: fixed, ask: !fixed.IsValid()})
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
	of          spec.Attachment
	index, port int            // of the interface, and of its other end on the server
	mac         string         // "": it keeps its own
	gone        []netip.Prefix // addresses that it loses
	fixed       netip.Prefix   // the IPv4 address that it comes to, and its DHCP client is to know of; invalid: none
	ask         bool           // its DHCP client is to ask anew
}

// ipv4Of is the first IPv4 address of list; invalid: none.
func ipv4Of(list []netip.Prefix) netip.Prefix {
	if i := slices.IndexFunc(list, func(p netip.Prefix) bool { return p.Addr().Is4() }); i >= 0 {
		return list[i]
	}
	return netip.Prefix{}
}

// turn does what is to be done in the container. Those that ask see the cable come in again,
// and the client that does not look is told.
func (s *Space) turn(k *host.Host, t turned) error {
	var messages []*nl.NetlinkRequest
	if t.fixed.IsValid() {
		if err := s.hush(k, t); err != nil {
			return err
		}
	}
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
	return errors.Join(s.signal(t.of.Interface, unix.SIGUSR2), s.signal(t.of.Interface, unix.SIGUSR1))
}

// hushTries are how often it is looked whether a DHCP client has let go, each time after hushLook.
const (
	hushTries = 200
	hushLook  = 10 * time.Millisecond
)

// hush has the udhcpc of an interface let go of what it has or asks for, and waits until it has: an
// address of before would stay beside the one that comes, or that would go with it. The client asks
// again when DHCP knows the address (asked), and is told the network's name server with it.
func (s *Space) hush(k *host.Host, t turned) error {
	clients, err := s.clients(t.of.Interface)
	if err != nil || len(clients) == 0 {
		return err
	}
	first := func() netip.Prefix {
		in, err2 := s.Look()
		if err = err2; err != nil {
			return netip.Prefix{}
		}
		return ipv4Of(in.Prefixes(t.index))
	}
	is := first()
	if err == nil && !is.IsValid() { // its script takes away whichever is there
		is, err = t.fixed, s.rt.Do(address(t.index, t.fixed))
	}
	if err == nil {
		err = s.signal(t.of.Interface, unix.SIGUSR2)
	}
	k.Asking = append(k.Asking, t.of)
	tick := time.NewTicker(hushLook)
	defer tick.Stop()
	for i := 0; i < hushTries && err == nil && first() == is; i++ { // a script may leave addresses alone
		<-tick.C
	}
	return err
}

// asked has the clients ask that were hushed.
func asked(k *host.Host) (err error) {
	for _, a := range k.Asking {
		s, err2 := Open(a.Container)
		if errors.Is(err2, fs.ErrNotExist) {
			continue
		}
		if err2 == nil {
			err2 = errors.Join(s.signal(a.Interface, unix.SIGUSR1), s.Close())
		}
		err = errors.Join(err, err2)
	}
	k.Asking = nil
	return err
}

// signal tells the udhcpc of an interface something: by its manual SIGUSR2 gives the lease back and
// SIGUSR1 asks for one. Other clients watch the cable, or ask when their lease ends.
func (s *Space) signal(iface string, signal unix.Signal) error {
	clients, err := s.clients(iface)
	for _, pid := range clients {
		_ = unix.Kill(pid, signal) // or it has just ended
	}
	return err
}

// clients are the udhcpc of an interface, eth0 where they are not told another.
func (s *Space) clients(iface string) (out []int, err error) {
	its, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(s.FD))
	if err != nil {
		return nil, err
	}
	pids, _, err := unit.Processes()
	for _, pid := range pids {
		name, _ := sysfile.ReadIfThere("/proc/" + pid + "/comm") // or it has just ended
		number, err2 := strconv.Atoi(pid)
		if err2 != nil || name != "udhcpc\n" || !unit.SharesNetwork(pid, its) {
			continue
		}
		line, _ := sysfile.ReadIfThere("/proc/" + pid + "/cmdline") // likewise
		if strings.Contains(line, "\x00"+iface+"\x00") || iface == "eth0" && !strings.Contains(line, "\x00-i") {
			out = append(out, number)
		}
	}
	return out, err
}

// lost are those of before that are not in now.
func lost(before, now []netip.Prefix) []netip.Prefix {
	return spec.Without(before, func(p netip.Prefix) bool { return slices.Contains(now, p) })
}
