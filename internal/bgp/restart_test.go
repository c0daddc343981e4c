//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// inhabited gives each machine of shares an address in its first prefix.
func (g *segment) inhabited(shares map[string][]netip.Prefix) {
	for name, list := range shares {
		g.sh(name, "ip address add "+list[0].Addr().Next().String()+"/32 dev lo")
	}
}

func TestRestartsLoseNothing(t *testing.T) {
	g := newSegment(t, "s1", "s2", "s3")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24"), "s3": prefixes("10.0.12.0/24")}
	g.inhabited(shares)
	d1, d2 := g.daemon("s1", g.mesh("s1", shares)), g.daemon("s2", g.mesh("s2", shares))
	d3 := g.daemon("s3", g.mesh("s3", shares))
	for _, d := range []*daemonProcess{d1, d2, d3} {
		d.awaitUp()
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			there, back := g.ping("s1", "10.0.10.1", "10.0.11.1"), g.ping("s2", "10.0.11.1", "10.0.10.1")
			d1.stop(signal)
			d1.run()
			d1.awaitUp()
			// Until the neighbours have heard our routes and swept the old ones.
			g.eventually(20*time.Second, func() error {
				for _, s := range []*spec.BGPStatus{d1.status(), d2.status()} {
					if s.Restarts {
						return fmt.Errorf("still restarting: %+v", s)
					}
					for _, r := range s.Routes {
						if len(r.Paths) == 0 || r.Paths[0].Stale || !r.Local && !r.Kernel {
							return fmt.Errorf("not there: %+v", r)
						}
					}
					if len(s.Routes) != 3 {
						return fmt.Errorf("not all there: %+v", s.Routes)
					}
				}
				return nil
			})
			for _, p := range []*pinger{there, back} {
				p.await(100)
				if lost, sent := p.lost(); lost > 0 || sent < 100 {
					t.Errorf("lost %d of %d", lost, sent)
				}
			}
		})
	}

	t.Run("what is gone after a restart is swept", func(t *testing.T) {
		d1.stop(syscall.SIGTERM)
		g.awaitKernel("s1", 0, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
		d2.reload(g.mesh("s2", map[string][]netip.Prefix{"s1": shares["s1"], "s2": prefixes("10.0.21.0/24"), "s3": shares["s3"]}))
		d1.run()
		g.awaitKernel("s1", 20*time.Second, "10.0.21.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")
	})
}

// A server that loses its power closes its connections before it is gone: that is no
// restart.
func TestWhoGoesAwayAfterAllIsLost(t *testing.T) {
	g := newSegment(t, "s1", "s2")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	d1, d2 := g.daemon("s1", g.mesh("s1", shares)), g.daemon("s2", g.mesh("s2", shares))
	d1.awaitUp()
	d2.awaitUp()
	g.awaitKernel("s1", time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0")
	d2.stop(syscall.SIGKILL)
	// It is there and might come back: longer than it takes to find out.
	g.sh("s1", "ping -q -c 6 10.99.0.2")
	g.awaitKernel("s1", time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0")
	g.sh("switch", "ip link set p2 down")
	off := time.Now()
	g.awaitKernel("s1", 12*time.Second)
	t.Logf("gone after %v", time.Since(off).Round(time.Millisecond))
}

func TestSilenceIsLossWithinTheHoldTime(t *testing.T) {
	g := newSegment(t, "s1", "s2", "s3")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.30.0/24"), "s3": prefixes("10.0.30.0/24")}
	d1, d2, d3 := g.daemon("s1", g.mesh("s1", shares)), g.daemon("s2", g.mesh("s2", shares)), g.daemon("s3", g.mesh("s3", shares))
	for _, d := range []*daemonProcess{d1, d2, d3} {
		d.awaitUp()
	}
	g.awaitKernel("s1", time.Second, "10.0.30.0/24 nexthop via 10.99.0.2 dev eth0 nexthop via 10.99.0.3 dev eth0")
	g.sh("switch", "ip link set p3 down")
	off := time.Now()
	g.awaitKernel("s1", 12*time.Second, "10.0.30.0/24 via 10.99.0.2 dev eth0")
	t.Logf("gone after %v, hold time %d s", time.Since(off).Round(time.Millisecond), d1.status().Neighbors[0].Uptime)
	g.eventually(time.Second, func() error {
		if n := d1.neighbor(g.v4("s3")); n.State == spec.BGPEstablished || n.Why == "" {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	g.sh("switch", "ip link set p3 up")
	g.awaitKernel("s1", 25*time.Second, "10.0.30.0/24 nexthop via 10.99.0.2 dev eth0 nexthop via 10.99.0.3 dev eth0")
}
