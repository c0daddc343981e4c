//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

// eager is a neighbour that connects the moment it can, keeps our routes through a
// restart, and has told all of its own with its first words. It writes what it meets.
func eager(local netip.Addr, remote string) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second}
	tick := time.NewTicker(200 * time.Microsecond)
	for range tick.C {
		c, err := d.Dial("tcp", net.JoinHostPort(remote, "179"))
		if err == nil {
			fmt.Fprintln(os.Stderr, "ended:", errors.Join(eagerOnce(c, local), c.Close()))
		}
	}
}

func eagerOnce(c net.Conn, local netip.Addr) error {
	caps := bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{
		bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(65001),
		bgp.NewCapGracefulRestart(false, false, 120, []*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)}),
	})
	open, err := bgp.NewBGPOpenMessage(65001, 90, local, []bgp.OptionParameterInterface{caps})
	if err != nil {
		return err
	}
	if err := errors.Join(write(c, open), read(c), write(c, bgp.NewBGPKeepAliveMessage()), read(c), write(c, bgp.NewEndOfRib(bgp.RF_IPv4_UC))); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "up")
	for {
		head := make([]byte, bgp.BGP_HEADER_LENGTH)
		if _, err := io.ReadFull(c, head); err != nil {
			return err
		}
		if head[18] == bgp.BGP_MSG_UPDATE {
			fmt.Fprintln(os.Stderr, "told")
		}
		if _, err := io.CopyN(io.Discard, c, int64(head[16])<<8+int64(head[17])-bgp.BGP_HEADER_LENGTH); err != nil {
			return err
		}
	}
}

// After a restart nothing is told before all neighbours told theirs, however fast one
// of them is, and nobody who comes early is turned away.
func TestNothingIsToldBeforeAllAreHeard(t *testing.T) {
	g := newSegment(t, "s1", "eager", "late")
	s := external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("eager"), AS: 65001})
	s = external(s, spec.BGPNeighbor{Addr: g.v4("late"), AS: 65002})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		log := filepath.Join(g.publicDir(), "eager")
		d := &daemonProcess{g: g, name: "s1", dir: g.publicDir()}
		d.write(s)
		if err := os.WriteFile(filepath.Join(d.dir, spec.BGPRunningMarker), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		e := g.start("eager", log, []string{fmt.Sprintf("%s=eager %s %s", hostileVariable, g.v4("eager"), g.v4("s1"))}, self)
		d.run()
		g.eventually(5*time.Second, func() error {
			if n := d.neighbor(g.v4("eager")); n.State != spec.BGPEstablished || n.Uptime < 2*time.Second {
				return fmt.Errorf("%+v", n)
			}
			return nil
		})
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(text); strings.TrimSpace(s) != "up" {
			t.Errorf("a neighbour that comes at once met:\n%s", s)
		}
		_ = e.Process.Kill()
		d.stop(os.Kill)
	}
}
