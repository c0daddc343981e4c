//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// TestAnycastFollowsItsSubnet: two servers announce one prefix, each while it has an
// address in it; the others use both, and who has it not uses the other.
func TestAnycastFollowsItsSubnet(t *testing.T) {
	g := newSegment(t, "s1", "s2", "s3")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24"), "s3": nil}
	any := prefix("10.0.50.1/32")
	of := func(name string) *spec.BGP {
		s := g.mesh(name, shares)
		s.Own = append(s.Own, any)
		if name != "s3" {
			s.Anycast = []netip.Prefix{any}
		}
		return s
	}
	g.sh("s1", "ip address add 10.0.50.1/32 dev lo")
	g.sh("s2", "ip link add svc type bridge; ip address add 10.0.50.1/32 dev svc; ip link set svc up")
	ds := map[string]*daemonProcess{}
	for name := range shares {
		ds[name] = g.daemon(name, of(name))
	}
	// The routes of a server to the prefix, by who it sends to.
	by := func(name string, want ...string) {
		t.Helper()
		var lines []string
		for _, other := range want {
			lines = append(lines, "via "+g.v4(other).String()+" ")
		}
		g.eventually(15*time.Second, func() error {
			out := g.sh(name, "ip route show proto 71 10.0.50.1")
			if strings.Count(out, "via ") != len(want) {
				return fmt.Errorf("%s has %q", name, out)
			}
			for _, l := range lines {
				if !strings.Contains(out, l) {
					return fmt.Errorf("%s has %q", name, out)
				}
			}
			return nil
		})
	}
	by("s3", "s1", "s2")
	by("s1")
	by("s2")
	g.sh("s3", "ip address add 10.0.12.1/32 dev lo")
	// Who restarts keeps announcing what it has: no packet goes astray.
	p := g.ping("s3", g.v4("s3").String(), "10.0.50.1")
	ds["s1"].stop(os.Kill)
	ds["s1"].run()
	ds["s1"].awaitUp()
	by("s3", "s1", "s2")
	p.await(50)
	if lost, sent := p.lost(); lost > 0 || sent < 50 {
		t.Errorf("a restart: lost %d of %d", lost, sent)
	}
	// The address goes, the device goes down, both come back.
	g.sh("s1", "ip address delete 10.0.50.1/32 dev lo")
	by("s3", "s2")
	by("s1", "s2")
	g.sh("s2", "ip link set svc down")
	by("s3")
	by("s1")
	g.sh("s1", "ip address add 10.0.50.1/32 dev lo")
	by("s3", "s1")
	by("s2", "s1")
	g.sh("s2", "ip link set svc up")
	by("s3", "s1", "s2")
	by("s2")
	// What the daemon says it runs is what it was told, whatever is here.
	a, err := ds["s1"].ask(spec.BGPLook, false)
	if err != nil || len(a.Running.Prefixes) != 1 || len(a.Running.Anycast) != 1 {
		t.Errorf("it runs %+v, %v", a.Running, err)
	}
	// It is taken back as any other.
	ds["s1"].reload(g.mesh("s1", shares))
	by("s3", "s2")
}
