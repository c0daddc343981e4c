//go:build linux

package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

const fed = 3_000

// slowHold is a hold time in seconds that a busy machine keeps, and no longer.
const slowHold = 4

// feed announces three thousand prefixes, each by a message of its own, over and over with
// another MED: there is always something to tell.
func feed(local netip.Addr, remote string) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second}
	for {
		if c, err := d.Dial("tcp", net.JoinHostPort(remote, "179")); err == nil {
			fmt.Println("fed:", errors.Join(feedOnce(c, local), c.Close()))
		}
		<-time.After(100 * time.Millisecond)
	}
}

func feedOnce(c net.Conn, local netip.Addr) error {
	if err := enter(c, local, true); err != nil {
		return err
	}
	go func() { _ = drain(c) }()
	for round := uint32(0); ; round++ {
		for i := range fed {
			med := binary.BigEndian.AppendUint32([]byte{0x80, 4, 4}, round<<16|uint32(i))
			m := update(slices.Concat(attributes[:len(attributes)-1], []byte{3}, med), []byte{32, 172, 20, byte(i >> 8), byte(i)})
			if _, err := c.Write(m); err != nil {
				return err
			}
		}
		<-time.After(500 * time.Millisecond)
	}
}

// slow takes a session up, says that it lives, and reads nothing more. Its receive buffer is
// the kernel's own: one that is too small for what is on the way drops acknowledgments with the
// rest, and what slow says is then not heard. Should that happen, TCP_USER_TIMEOUT
// (milliseconds, tcp(7)) ends the connection, and slow comes again.
func slow(local netip.Addr, remote string) {
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second,
		Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 6000) })
		},
	}
	for {
		if c, err := d.Dial("tcp", net.JoinHostPort(remote, "179")); err == nil {
			err = enter(c, local, true)
			if err == nil {
				fmt.Println("sleeps")
			}
			for err == nil {
				<-time.After(time.Second)
				_, err = c.Write(frame(4))
			}
			fmt.Println("ended:", err)
			_ = c.Close()
			<-time.After(8 * time.Second) // what is said of it then
		}
		<-time.After(100 * time.Millisecond)
	}
}

// A neighbour that reads nothing of what it is told loses its session in twice the hold
// time; until then it costs bounded memory, and the others nothing.
func TestSlowReader(t *testing.T) {
	g := newSegment(t, "s1", "s2", "feeder", "slow")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	s1 := external(g.mesh("s1", shares), spec.BGPNeighbor{Addr: g.v4("feeder"), AS: 65001})
	// Of the feeder's AS, so that it is a neighbour outside which is told all.
	s1.Neighbors = append(s1.Neighbors, spec.BGPNeighbor{Addr: g.v4("slow"), AS: 65001})
	s2 := g.mesh("s2", shares)
	s1.Hold, s2.Hold = slowHold, slowHold
	d1, d2 := g.daemon("s1", s1), g.daemon("s2", s2)
	d2.awaitUp()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logs := g.publicDir()
	for _, name := range []string{"slow", "feeder"} {
		words := fmt.Sprintf("%s=%s %s %s", hostileVariable, name, g.v4(name), g.v4("s1"))
		g.start(name, filepath.Join(logs, name), []string{words}, self)
		if name == "slow" {
			g.eventually(15*time.Second, func() error {
				if n := d1.neighbor(g.v4("slow")); n.State != spec.BGPEstablished {
					return fmt.Errorf("%+v", n)
				}
				return nil
			})
		}
	}
	g.eventually(60*time.Second, func() error {
		n := d1.neighbor(g.v4("slow"))
		if !strings.Contains(n.Why, "it took nothing of what it was told for twice the hold time") {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	g.eventually(60*time.Second, func() error {
		if have := len(g.kernel("s2")); have != fed+1 {
			return fmt.Errorf("s2 has %d routes", have)
		}
		return nil
	})
	for _, name := range []string{"s2", "feeder"} {
		d1.neverLost(g.v4(name))
	}
	now, most := d1.memory()
	t.Logf("memory: %d MiB, at most %d MiB", now, most)
	if most > 128 {
		t.Errorf("the daemon had %d MiB", most)
	}
}
