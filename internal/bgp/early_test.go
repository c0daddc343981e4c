//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

// eager is a neighbour that connects the moment it can and has told all of its own with
// its first words. One that keeps has our routes still from before our restart. It writes
// what it meets.
func eager(local netip.Addr, remote string, keeps bool) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), Timeout: time.Second}
	tick := time.NewTicker(200 * time.Microsecond)
	for range tick.C {
		c, err := d.Dial("tcp", net.JoinHostPort(remote, "179"))
		if err == nil {
			fmt.Fprintln(os.Stderr, "ended:", errors.Join(eagerOnce(c, local, keeps), c.Close()))
		}
	}
}

// endOfRIB is the length of an UPDATE that says nothing.
const endOfRIB = 23

func eagerOnce(c net.Conn, local netip.Addr, keeps bool) error {
	caps := []bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(65001)}
	if keeps {
		caps = append(caps, bgp.NewCapGracefulRestart(false, false, 120, []*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)}))
	}
	open, err := bgp.NewBGPOpenMessage(65001, 90, local, []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
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
		if length := int(head[16])<<8 + int(head[17]); head[18] == bgp.BGP_MSG_UPDATE && length > endOfRIB {
			fmt.Fprintln(os.Stderr, "told")
		} else if head[18] == bgp.BGP_MSG_UPDATE {
			fmt.Fprintln(os.Stderr, "told all")
		}
		if _, err := io.CopyN(io.Discard, c, int64(head[16])<<8+int64(head[17])-bgp.BGP_HEADER_LENGTH); err != nil {
			return err
		}
	}
}

// restartsBeside starts a daemon of s1, as after a restart, beside an eager neighbour of
// the kind, and another one that does not come. Log is what the eager one writes.
func (g *segment) restartsBeside(kind string) (d *daemonProcess, e *exec.Cmd, log string) {
	g.t.Helper()
	s := external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("eager"), AS: 65001})
	s = external(s, spec.BGPNeighbor{Addr: g.v4("late"), AS: 65002})
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	log = filepath.Join(g.publicDir(), "eager")
	d = &daemonProcess{g: g, name: "s1", dir: g.publicDir()}
	d.write(s)
	if err := os.WriteFile(filepath.Join(d.dir, spec.BGPRunningMarker), nil, 0o600); err != nil {
		g.t.Fatal(err)
	}
	e = g.start("eager", log, []string{fmt.Sprintf("%s=%s %s %s", hostileVariable, kind, g.v4("eager"), g.v4("s1"))}, self)
	d.run()
	return d, e, log
}

// After a restart who kept none of our routes hears them at once, whoever else is awaited.
func TestWhoKeptNothingIsToldAtOnce(t *testing.T) {
	g := newSegment(t, "s1", "eager", "late")
	for range 2 {
		d, e, log := g.restartsBeside("forgetful")
		g.eventually(5*time.Second, func() error {
			text, err := os.ReadFile(log)
			if err == nil && !strings.Contains(string(text), "told\n") {
				err = fmt.Errorf("it met %q", text)
			}
			return err
		})
		if !d.status().Restarts {
			t.Error("the restart was over")
		}
		_ = e.Process.Kill()
		d.stop(os.Kill)
	}
}

// After a restart nothing is told before all neighbours told theirs, however fast one
// of them is, and nobody who comes early is turned away.
func TestNothingIsToldBeforeAllAreHeard(t *testing.T) {
	g := newSegment(t, "s1", "eager", "late")
	for range 3 {
		d, e, log := g.restartsBeside("eager")
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
