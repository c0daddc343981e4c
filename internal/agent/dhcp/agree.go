//go:build linux

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/names"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

const (
	// agreeLook is how often the leases are looked at. The other servers are told then what is
	// new, and once more at the next look, because packets get lost.
	agreeLook = 250 * time.Millisecond
	// agreeLooks is how many looks there are until the other servers are told claims that are
	// not new, for a server that was away. At most agreeMost are told, in any order.
	agreeLooks = 20
	agreeMost  = 64
)

// agree keeps this server's names in agreement with the other servers'.
func (n *answerer) agree(ctx context.Context, log io.Writer) {
	tick := time.NewTicker(agreeLook)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		n.mu.Lock()
		n.complain(n.look(i%agreeLooks == 0, log), log)
		n.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// complain writes what a look failed with, once for as long as it stays the same.
func (n *answerer) complain(err error, log io.Writer) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != n.failed {
		fmt.Fprintln(log, "agree whose a name is:", text)
	}
	n.failed = text
}

// look reads the leases where they changed and tells the other servers what is new;
// some of what is not, if all are to be looked at.
func (n *answerer) look(all bool, log io.Writer) error {
	p := n.server.process(leaf, n.network)
	looks := looksOf(p.Leases) + looksOf(p.Names)
	if !all && looks == n.looked && !n.claims.Changed() && len(n.again) == 0 {
		return nil
	}
	d, err := n.reads()
	if err != nil {
		return err
	}
	if err := n.listenToServers(d, log); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	news, err := n.writePins(d, p, now)
	if err != nil {
		return err
	}
	n.looked = looks
	tell := append(n.again, news...)
	n.again = news
	if all {
		tell = n.claims.Repeat(tell, agreeMost)
	}
	for _, m := range names.Texts(names.Asks+p.Mark, tell, now) {
		for _, peer := range d.Peers {
			if d.Zone != nil && !routed(peer) {
				continue
			}
			n.tell(m, netip.AddrPortFrom(peer, spec.ClaimsPort))
		}
	}
	return nil
}

// looksOf changes when a file or a directory does.
func looksOf(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintln(info.ModTime().UnixNano(), info.Size())
}

// writePins makes the directory of names what the claims say.
func (n *answerer) writePins(d spec.DHCP, p process, now int64) ([]*names.Claim, error) {
	pins, err := readPins(p.Names)
	if err != nil {
		return nil, err
	}
	leases, err := sysfile.ReadIfThere(p.Leases) // after the pins: a lease is older than its own
	if err != nil {
		return nil, err
	}
	written := now
	if info, err := os.Lstat(p.Leases); err == nil { // before the text is read it may be that of an older one
		written = info.ModTime().UnixMilli()
	}
	news, want := n.claims.Update(d, leases, written, pins, now)
	conf := n.server.has.LeafConf(&d)
	for addr, have := range pins {
		if want[addr].Name != have.Name && (n.claims.Given(have.Name, addr) || !names.HandsOut(d, addr)) {
			err = errors.Join(err, sysfile.Remove(filepath.Join(p.Names, addr)))
		}
	}
	for addr, w := range want {
		path := filepath.Join(p.Names, addr)
		if pins[addr].Name != w.Name {
			_, err2 := sysfile.WriteIfOther(path, conf.Pin(addr, w.Name), 0o644)
			err = errors.Join(err, err2)
		}
		if w.Since != 0 && w.Since != pins[addr].Since {
			at := unix.NsecToTimeval(w.Since * int64(time.Millisecond))
			err = errors.Join(err, unix.Utimes(path, []unix.Timeval{at, at}))
		}
	}
	return news, err
}

// readPins reads a directory of names.
func readPins(dir string) (map[string]names.Pin, error) {
	files, err := sysfile.Names(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]names.Pin{}
	for _, file := range files {
		path := filepath.Join(dir, file)
		text, _ := sysfile.ReadIfThere(path) // or it is gone
		info, err := os.Lstat(path)
		if f := strings.Fields(text); err == nil && len(f) == 3 && file[0] != '.' && file != toldNames {
			out[file] = names.Pin{Name: strings.ToLower(f[2]), Since: info.ModTime().UnixMilli()}
		}
	}
	return out, nil
}

// listenToServers opens the socket on d's bridge, and anew when the bridge is another one.
func (n *answerer) listenToServers(d spec.DHCP, log io.Writer) error {
	dev, err := net.InterfaceByName(d.Bridge)
	if err != nil || dev.Index == n.bridge {
		return err
	}
	n.stopListening()
	n.claims.Me = d.Listen[0]
	by := d.Bridge
	if d.Zone != nil {
		by = "" // any
	}
	if n.servers, err = listenOn(by, netip.AddrPortFrom(n.claims.Me, spec.ClaimsPort)); err == nil {
		n.bridge = dev.Index
		go n.hearServers(n.servers, log)
	}
	return err
}

func (n *answerer) stopListening() {
	if n.servers != nil {
		_ = n.servers.Close() // nothing is lost
	}
	n.bridge = 0
}

// listenOn opens a socket for datagrams that hears what comes by way of a device alone, of "" by any.
func listenOn(device string, at netip.AddrPort) (net.PacketConn, error) {
	bind := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }), err)
	}}
	return bind.ListenPacket(context.Background(), "udp", at.String())
}

// tell sends a message. One that is lost, or comes while there is no socket, is sent again.
func (n *answerer) tell(m string, to netip.AddrPort) {
	if n.servers == nil {
		return
	}
	_, _ = n.servers.WriteTo([]byte(m), net.UDPAddrFromAddrPort(to))
}

// hearServers hears other servers at a socket that is bound to the bridge. Only members
// reach it: containers cannot send to its port (network, closePorts).
func (n *answerer) hearServers(c net.PacketConn, log io.Writer) {
	for m := make([]byte, 1500); ; {
		size, source, err := c.ReadFrom(m)
		if err != nil {
			return // it was closed
		}
		from, err := netip.ParseAddrPort(source.String())
		d, err2 := n.reads()
		if err != nil || err2 != nil || from.Port() != spec.ClaimsPort || !slices.Contains(d.Peers, from.Addr().Unmap()) {
			continue
		}
		n.mu.Lock()
		err = n.reply(d, string(m[:size]), from, log)
		n.mu.Unlock()
		if err != nil {
			fmt.Fprintln(log, "agree whose a name is:", err)
		}
	}
}

// reply compares what another server says with what is known here, and answers.
func (n *answerer) reply(d spec.DHCP, m string, from netip.AddrPort, log io.Writer) error {
	mark := n.server.has.Name + "/" + n.network
	head, text, _ := strings.Cut(m, "\n")
	asked := head == names.Asks+mark
	if !asked && head != names.Says+mark {
		return nil
	}
	var answers []*names.Claim
	var failed error
	now := time.Now().UnixMilli()
	for line := range strings.Lines(text) {
		c := names.ReadClaim(line)
		if c == nil {
			continue
		}
		c.CameFrom(from.Addr().Unmap(), now)
		answer, moved := n.claims.Take(c, asked, now, func() { failed = errors.Join(failed, n.look(false, log)) })
		if asked && answer != nil {
			answers = append(answers, answer)
		}
		if moved != nil {
			failed = errors.Join(failed, release(d, moved))
		}
	}
	for _, m := range names.Texts(names.Says+mark, answers, now) {
		n.tell(m, from)
	}
	if n.claims.Changed() {
		failed = errors.Join(failed, n.look(false, log))
	}
	return failed
}

// release ends a lease of this server's dnsmasq, as if its container had said so (RFC 2131,
// 4.4.6). It knows itself by one of d's addresses.
func release(d spec.DHCP, c *names.Claim) error {
	addr, err := netip.ParseAddr(c.Addr)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(c.MAC)
	if err != nil {
		return err
	}
	s, err := listenOn(d.Bridge, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all is sent
	const ciaddr, chaddr, options = 12, 28, 236
	m := [options + 14]byte{0: 1, 1: 1, 2: 6, options: 99, 130, 83, 99, 53, 1, 7, 54, 4} // a request, Ethernet; magic, DHCPRELEASE, server
	copy(m[ciaddr:], addr.AsSlice())
	copy(m[chaddr:], mac)
	for _, server := range append([]netip.Addr{d.Router}, d.Listen...) {
		if server.Is4() {
			copy(m[options+9:], server.AsSlice())
			m[options+13] = 255
			_, err2 := s.WriteTo(m[:], net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, dhcpPort)))
			err = errors.Join(err, err2)
		}
	}
	return err
}
