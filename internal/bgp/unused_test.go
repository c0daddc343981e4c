//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A route that the kernel has and does not use is told from one that it uses.
func TestRoutesThatOthersGoBeforeAreTold(t *testing.T) {
	g := newSegment(t, "s1", "s2")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24", "0.0.0.0/0")}
	d, d2 := g.daemon("s1", g.mesh("s1", shares)), g.daemon("s2", g.mesh("s2", shares))
	d.awaitUp()
	d2.awaitUp()
	for _, c := range []struct{ to, other, why string }{
		{"10.0.11.0/24", "via 10.99.0.9 metric 20", "the route via 10.99.0.9 dev eth0 with metric 20 goes before it"},
		{"10.0.11.0/24", "via 10.99.0.9 metric 1024", ""},
		{"0.0.0.0/0", "via 10.99.0.9", "the route via 10.99.0.9 dev eth0 with metric 0 goes before it"},
		{"0.0.0.0/0", "via 10.99.0.9 metric 1024", ""},
	} {
		g.sh("s1", fmt.Sprintf("ip route add %s %s", c.to, c.other))
		g.awaitUnused(d, c.to, c.why)
		g.sh("s1", fmt.Sprintf("ip route del %s %s", c.to, c.other))
		g.awaitUnused(d, c.to, "")
	}
	g.sh("s1", "ip route add blackhole 10.0.11.0/24 metric 5")
	g.awaitUnused(d, "10.0.11.0/24", "a route that drops it with metric 5 goes before it")
	g.sh("s1", "ip route add unreachable default metric 4278198272")
	g.awaitUnused(d, "0.0.0.0/0", "")
}

// awaitUnused waits until d says of its route to p that the kernel has it and does not
// use it for why.
func (g *segment) awaitUnused(d *daemonProcess, p, why string) {
	g.t.Helper()
	g.eventually(5*time.Second, func() error {
		for _, r := range d.status().Routes {
			if r.Prefix == prefix(p) && r.Kernel && r.Unused == why {
				return nil
			}
		}
		return fmt.Errorf("want %s unused for %q, have %+v", p, why, d.status().Routes)
	})
}
