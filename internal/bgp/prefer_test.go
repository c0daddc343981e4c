//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// pair are two routers of AS 65001, FRR on tor1 and BIRD on tor2, that have 172.16.1.0/24
// both and meet s1.
func (g *segment) pair() (frr *router) {
	for _, name := range []string{"tor1", "tor2"} {
		g.sh(name, "ip address add 172.16.1.1/32 dev lo")
	}
	frr = g.frr("tor1", frrConfig(65001, g.v4("tor1"), fmt.Sprintf("neighbor %s remote-as 64512", g.v4("s1")), fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24")))
	g.birdRouter("tor2", fmt.Sprintf(`
protocol static { ipv4; route 172.16.1.0/24 blackhole; }
protocol bgp s1 { local %s as 65001; neighbor %s as 64512; hold time 9; connect delay time 1; error wait time 1, 2;
	ipv4 { import all; export where source = RTS_STATIC; }; }
`, g.v4("tor2"), g.v4("s1")))
	return frr
}

// TestRoutersAreLeftAndComeBack: which of two routers is used changes within the sessions,
// without a packet lost, by capture at both.
func TestRoutersAreLeftAndComeBack(t *testing.T) {
	g := newSegment(t, "s1", "tor1", "tor2")
	frr := g.pair()
	g.sh("s1", "ip address add 10.0.10.1/32 dev lo")
	with := func(first, second spec.BGPNeighbor) *spec.BGP {
		first.Addr, first.AS, second.Addr, second.AS = g.v4("tor1"), 65001, g.v4("tor2"), 65001
		return external(external(g.alone("s1", "10.0.10.0/24"), first), second)
	}
	d := g.daemon("s1", with(spec.BGPNeighbor{}, spec.BGPNeighbor{LocalPref: 50, Prepend: 3, MED: 7, Communities: []string{"65001:9"}}))
	d.awaitUp()
	by := func(name string) {
		t.Helper()
		g.awaitKernel("s1", 10*time.Second, fmt.Sprintf("172.16.1.0/24 via %s dev eth0", g.v4(name)))
	}
	by("tor1")
	g.awaitRoute("tor1", "10.0.10.0/24", "10.99.0.1", 10*time.Second)
	g.awaitRoute("tor2", "10.0.10.0/24", "10.99.0.1", 10*time.Second)
	e, err := d.exchange(g.v4("tor2"))
	if err != nil || len(e.Sent) != 1 || e.Sent[0].ASPath != "64512 64512 64512 64512" || e.Sent[0].MED == nil || *e.Sent[0].MED != 7 || !slices.Equal(e.Sent[0].Communities, []string{"65001:9"}) {
		t.Errorf("the backup is told %+v, %v", e.Sent, err)
	}
	d.awaitReceived(g.v4("tor2"), map[string]string{"172.16.1.0/24": "the path of 10.99.0.2 goes before it"})
	p := g.ping("s1", "10.0.10.1", "172.16.1.1")
	for range 3 {
		d.reload(with(spec.BGPNeighbor{Drain: true}, spec.BGPNeighbor{LocalPref: 50, Prepend: 3}))
		by("tor2")
		d.awaitReceived(g.v4("tor1"), map[string]string{"172.16.1.0/24": "the path of 10.99.0.3 goes before it"})
		g.eventually(10*time.Second, func() error {
			if pref, communities, err := frr.preference("10.0.10.0/24"); err != nil || pref != 0 || !strings.Contains(communities, "graceful-shutdown") {
				return errors.Join(err, fmt.Errorf("the one that is drained prefers our route by %d, %q", pref, communities))
			}
			return nil
		})
		d.reload(with(spec.BGPNeighbor{}, spec.BGPNeighbor{LocalPref: 50, Prepend: 3}))
		by("tor1")
	}
	d.reload(with(spec.BGPNeighbor{LocalPref: 200}, spec.BGPNeighbor{LocalPref: 300}))
	by("tor2")
	p.await(20)
	if lost, sent := p.lost(); lost > 0 || sent < 20 {
		t.Errorf("lost %d of %d", lost, sent)
	}
	if text := g.sh("s1", "cat "+d.dir+"/log"); strings.Count(text, ": up\n") != 2 || strings.Contains(text, ": down") {
		t.Errorf("sessions ended:\n%s", text)
	}
}

// preference is how much FRR prefers the path that it has to p, and its communities.
func (r *router) preference(p string) (pref int, communities string, err error) {
	var out struct {
		Paths []struct {
			LocPrf    *int
			Community struct{ String string }
		}
	}
	if err := r.vtysh(&out, "show bgp ipv4 unicast "+p); err != nil {
		return 0, "", err
	}
	if len(out.Paths) != 1 || out.Paths[0].LocPrf == nil {
		return 0, "", fmt.Errorf("paths %+v", out.Paths)
	}
	return *out.Paths[0].LocPrf, out.Paths[0].Community.String, nil
}

// TestWhoLeavesIsLeft: a router that says it is about to go (RFC 8326) gets nothing more
// where there is another.
func TestWhoLeavesIsLeft(t *testing.T) {
	g := newSegment(t, "s1", "tor1", "tor2")
	frr := g.pair()
	d := g.daemon("s1", external(external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("tor1"), AS: 65001}), spec.BGPNeighbor{Addr: g.v4("tor2"), AS: 65001, LocalPref: 50}))
	d.awaitUp()
	g.awaitKernel("s1", 10*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
	if out, err := g.in("tor1", "vtysh", "--vty_socket", frr.dir, "-c", "configure terminal", "-c", "bgp graceful-shutdown").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.3 dev eth0")
}

// TestRoutersGoToTheOwner: a router that meets two members sends to each what that shares, though
// both announce all of it, and the router would take the first of two equal paths.
func TestRoutersGoToTheOwner(t *testing.T) {
	g := newSegment(t, "s1", "s2", "tor1", "tor2")
	neighbors := fmt.Sprintf("bgp bestpath compare-routerid\n neighbor %[1]s remote-as 64512\n neighbor %[2]s remote-as 64512", g.v4("s1"), g.v4("s2"))
	g.frr("tor1", frrConfig(65001, g.v4("tor1"), neighbors, fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24"), fmt.Sprintf(frrFamilies, g.v4("s2"), "172.16.1.0/24")))
	var bird strings.Builder
	for _, name := range []string{"s1", "s2"} {
		fmt.Fprintf(&bird, "protocol bgp %s { local %s as 65002; neighbor %s as 64512; hold time 9; connect delay time 1; error wait time 1, 2; ipv4 { import all; export none; }; }\n",
			name, g.v4("tor2"), g.v4(name))
	}
	g.birdRouter("tor2", bird.String())
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	var daemons []*daemonProcess
	for _, name := range []string{"s1", "s2"} {
		s := external(g.mesh(name, shares), spec.BGPNeighbor{Addr: g.v4("tor1"), AS: 65001, MED: 5})
		daemons = append(daemons, g.daemon(name, external(s, spec.BGPNeighbor{Addr: g.v4("tor2"), AS: 65002})))
	}
	for _, d := range daemons {
		d.awaitUp()
	}
	for _, tor := range []string{"tor1", "tor2"} {
		g.awaitRoute(tor, "10.0.10.0/24", "10.99.0.1", 20*time.Second)
		g.awaitRoute(tor, "10.0.11.0/24", "10.99.0.2", 20*time.Second)
	}
	g.eventually(10*time.Second, func() error {
		e, err := daemons[0].exchange(g.v4("tor1"))
		if err != nil || len(e.Sent) != 2 || e.Sent[0].MED == nil || *e.Sent[0].MED != 5 || e.Sent[1].MED == nil || *e.Sent[1].MED != 105 {
			return errors.Join(err, fmt.Errorf("s1 tells %+v", e.Sent))
		}
		return nil
	})
}
