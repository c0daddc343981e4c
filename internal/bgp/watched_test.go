//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// watchers are the two real routers with BFD, as their manuals have it.
func watchers() map[string]func(g *segment) *router {
	return map[string]func(g *segment) *router{
		"frr": func(g *segment) *router {
			neighbor := fmt.Sprintf("neighbor %[1]s remote-as 64512\n neighbor %[1]s bfd\n", g.v4("s1"))
			return g.frr("tor", frrConfig(65001, g.v4("tor"), neighbor, fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24")))
		},
		"bird": func(g *segment) *router {
			return g.birdRouter("tor", fmt.Sprintf(`
protocol bfd {}
protocol static { ipv4; route 172.16.1.0/24 blackhole; }
protocol bgp s1 { local %s as 65001; neighbor %s as 64512; hold time 90; connect delay time 1; error wait time 1, 2; graceful restart on; bfd on;
	ipv4 { import all; export where source = RTS_STATIC; }; }
`, g.v4("tor"), g.v4("s1")))
		},
	}
}

// calm is a BFD interval in milliseconds that no busy machine makes look like silence, for what
// is not about how soon silence is noticed.
const calm = 1000

// watching is a speaker whose hold time is long and that watches a router by BFD.
func (g *segment) watching(ms int) *spec.BGP {
	s := external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("tor"), Local: g.v4("s1"), AS: 65001, BFD: ms})
	s.Hold = 90
	return s
}

// awaitWatched waits until BFD is up with all neighbours that it watches.
func (d *daemonProcess) awaitWatched() {
	d.g.t.Helper()
	d.g.eventually(40*time.Second, func() error {
		for _, n := range d.status().Neighbors {
			if n.State != spec.BGPEstablished || n.BFD == nil || !n.BFD.Up {
				return fmt.Errorf("%s: neighbor %s is %s: %s, BFD %+v", d.name, n.Addr, n.State, n.Why, n.BFD)
			}
		}
		return nil
	})
}

// TestSilentRoutersAreLeftByBFD: long before the hold time of 90 s, on both sides.
func TestSilentRoutersAreLeftByBFD(t *testing.T) {
	for kind, start := range watchers() {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			start(g)
			d := g.daemon("s1", g.watching(300))
			d.awaitWatched()
			g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 10*time.Second)
			t.Logf("%+v", d.neighbor(g.v4("tor")).BFD)
			g.sh("switch", "ip link set p2 down")
			off := time.Now()
			g.awaitKernel("s1", 10*time.Second)
			t.Logf("left after %v", time.Since(off).Round(time.Millisecond))
			g.awaitRoute("tor", "10.0.10.0/24", "", 10*time.Second)
			if n := d.neighbor(g.v4("tor")); !strings.Contains(n.Why, "BFD: silent for ") || n.BFD.Up || !strings.Contains(n.BFD.Why, "silent for ") {
				t.Errorf("%+v, BFD %+v", n, n.BFD)
			}
			g.sh("switch", "ip link set p2 up")
			g.awaitKernel("s1", 30*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
			d.awaitWatched()
		})
	}
}

// TestRestartsAreToldByBFD: neither side drops a route while the daemon restarts, and
// BFD sessions go on.
func TestRestartsAreToldByBFD(t *testing.T) {
	for kind, start := range watchers() {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			g.sh("tor", "ip address add 172.16.1.1/32 dev lo")
			g.sh("s1", "ip address add 10.0.10.1/32 dev lo")
			start(g)
			d := g.daemon("s1", g.watching(calm))
			d.awaitWatched()
			g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 10*time.Second)
			p := g.ping("s1", "10.0.10.1", "172.16.1.1")
			d.stop(syscall.SIGTERM)
			// Twice as long as it would be awaited otherwise.
			g.sh("s1", "ping -q -c 7 -i 1 10.99.0.2")
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 0)
			d.run()
			d.awaitWatched()
			g.eventually(25*time.Second, func() error {
				if s := d.status(); s.Restarts || len(s.Routes) < 2 {
					return fmt.Errorf("still restarting: %+v", s)
				}
				return nil
			})
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", time.Second)
			p.await(300)
			if lost, sent := p.lost(); lost > 0 {
				t.Errorf("lost %d of %d", lost, sent)
			}
			if log := g.sh("s1", "cat "+d.dir+"/log"); strings.Count(log, "BFD is up") != 1 || strings.Contains(log, "BFD is down") {
				t.Error("the BFD session did not go on")
			}
		})
	}
}

// TestMembersWatchEachOther: a cut link, a restart, and BFD that ends on one side first.
func TestMembersWatchEachOther(t *testing.T) {
	g := newSegment(t, "s1", "s2", "s3")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24"), "s3": prefixes("10.0.12.0/24")}
	g.inhabited(shares)
	watched := func(name string, ms int) *spec.BGP {
		s := g.mesh(name, shares)
		s.Hold = 90
		for i := range s.Neighbors {
			s.Neighbors[i].BFD = ms
		}
		return s
	}
	all := map[string]*daemonProcess{}
	for name := range shares {
		all[name] = g.daemon(name, watched(name, calm))
	}
	for _, d := range all {
		d.awaitWatched()
	}
	g.awaitKernel("s1", 20*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "10.0.12.0/24 via 10.99.0.3 dev eth0")

	there, back := g.ping("s1", "10.0.10.1", "10.0.11.1"), g.ping("s2", "10.0.11.1", "10.0.10.1")
	all["s1"].stop(syscall.SIGTERM)
	g.sh("s1", "ping -q -c 7 -i 1 10.99.0.2")
	all["s1"].run()
	for _, d := range all {
		d.awaitWatched()
	}
	// Another interval, and none, change within the sessions.
	for _, ms := range []int{calm / 2, calm, 0} {
		all["s1"].reload(watched("s1", ms))
		if ms > 0 {
			all["s1"].awaitWatched()
		}
	}
	g.eventually(10*time.Second, func() error {
		if n := all["s2"].neighbor(g.v4("s1")); n.BFD.Up || n.BFD.Why != "it is switched off there" || n.State != spec.BGPEstablished {
			return fmt.Errorf("%+v, BFD %+v", n, n.BFD)
		}
		return nil
	})
	all["s1"].reload(watched("s1", calm))
	all["s1"].awaitWatched()
	for _, p := range []*pinger{there, back} {
		if lost, sent := p.lost(); lost > 0 || sent < 300 {
			t.Errorf("lost %d of %d", lost, sent)
		}
	}

	g.sh("switch", "ip link set p3 down")
	off := time.Now()
	g.awaitKernel("s1", 10*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0")
	t.Logf("left after %v", time.Since(off).Round(time.Millisecond))
}

// TestSlowRoutersComeUpOnce: FRR's bgpd makes its BFD session anew when BGP has come up, by
// way of zebra, which may have other work for two seconds.
func TestSlowRoutersComeUpOnce(t *testing.T) {
	g := newSegment(t, "s1", "tor")
	r := watchers()["frr"](g)
	g.eventually(5*time.Second, func() error {
		var peers []struct{ Peer string }
		if err := r.vtysh(&peers, "show bfd peers"); err != nil || len(peers) == 0 {
			return fmt.Errorf("FRR has no BFD session yet: %w", err)
		}
		return nil
	})
	text, err := os.ReadFile(filepath.Join(r.dir, "zebra.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	zebra := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Error(err)
		}
	}
	zebra(syscall.SIGSTOP)
	d := g.daemon("s1", g.watching(calm))
	d.awaitUp()
	g.sh("s1", "ping -q -c 3 -i 1 10.99.0.2")
	zebra(syscall.SIGCONT)
	d.awaitWatched()
	g.sh("s1", "ping -q -c 3 -i 1 10.99.0.2")
	if log := g.sh("s1", "cat "+d.dir+"/log"); strings.Contains(log, "down") {
		t.Errorf("the sessions came up and went down again:\n%s", log)
	}
}

// TestStrangersEndNoBFDSession: packets that were passed on, or that do not know the
// session, end nothing.
func TestStrangersEndNoBFDSession(t *testing.T) {
	g := newSegment(t, "s1", "tor")
	watchers()["frr"](g)
	d := g.daemon("s1", g.watching(calm))
	d.awaitWatched()
	// A control packet that says Down, of another session.
	const down = "2040031800000007" + "00000000" + "000f4240" + "000f4240" + "00000000"
	for _, ttl := range []string{"64", "255"} {
		g.sh("tor", fmt.Sprintf(`python3 -c 'import socket
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.setsockopt(socket.IPPROTO_IP,socket.IP_TTL,%s)
for i in range(3): s.sendto(bytes.fromhex("%s"),("10.99.0.1",3784))'`, ttl, down))
	}
	g.sh("s1", "ping -q -c 3 -i 0.5 10.99.0.2")
	if log := g.sh("s1", "cat "+d.dir+"/log"); strings.Contains(log, "BFD is down") {
		t.Error("a stranger ended the session")
	}
}

// TestKilledDaemonsAreForgiven: who is killed cannot tell anybody. Neighbours miss its BFD
// packets, and keep its routes all the same: its BGP session ended without a word
// (RFC 5882, 4.3). BIRD does so with "bfd graceful".
func TestKilledDaemonsAreForgiven(t *testing.T) {
	g := newSegment(t, "s1", "s2", "tor")
	g.inhabited(map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24"), "tor": prefixes("172.16.1.0/24")})
	watchers()["frr"](g)
	s1, s2 := g.watching(calm), g.alone("s2", "10.0.11.0/24", spec.BGPNeighbor{Addr: g.v4("s1"), Local: g.v4("s2"), Name: "s1", AS: 64512, BFD: calm})
	s1.Own = prefixes("10.0.10.0/24", "10.0.11.0/24")
	s1.Neighbors = append(s1.Neighbors, spec.BGPNeighbor{Addr: g.v4("s2"), Local: g.v4("s1"), Name: "s2", AS: 64512, BFD: calm, NextHopSelf: true})
	s2.Hold = 90
	d1, d2 := g.daemon("s1", s1), g.daemon("s2", s2)
	d1.awaitWatched()
	d2.awaitWatched()
	g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.3 dev eth0", "10.0.11.0/24 via 10.99.0.2 dev eth0")
	g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 10*time.Second)
	g.awaitRoute("tor", "10.0.11.0/24", "10.99.0.1", 10*time.Second)
	out, back := g.ping("s1", "10.0.10.1", "172.16.1.1"), g.ping("s2", "10.0.11.1", "10.0.10.1")
	d1.stop(syscall.SIGKILL)
	// Until both have missed it.
	g.eventually(10*time.Second, func() error {
		if n := d2.neighbor(g.v4("s1")); n.BFD.Up {
			return fmt.Errorf("%+v", n.BFD)
		}
		return nil
	})
	g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 0)
	d1.run()
	d1.awaitWatched()
	d2.awaitWatched()
	g.awaitRoute("tor", "10.0.11.0/24", "10.99.0.1", 20*time.Second)
	for _, p := range []*pinger{out, back} {
		p.await(200)
		if lost, sent := p.lost(); lost > 0 {
			t.Errorf("lost %d of %d", lost, sent)
		}
	}
}

// TestWatchedOverIPv6: as over IPv4.
func TestWatchedOverIPv6(t *testing.T) {
	for kind, start := range map[string]func(g *segment){
		"frr": func(g *segment) {
			g.frr("tor", frrConfig(65001, g.v4("tor"), "neighbor fd00:99::1 remote-as 64512\n neighbor fd00:99::1 bfd\n", ""+
				" address-family ipv6 unicast\n  neighbor fd00:99::1 activate\n  network fd00:172::/64\n exit-address-family\n"))
		},
		"bird": func(g *segment) {
			g.birdRouter("tor", "protocol bfd {}\nprotocol static { ipv6; route fd00:172::/64 blackhole; }\n"+
				"protocol bgp s1 { local fd00:99::2 as 65001; neighbor fd00:99::1 as 64512; hold time 90; connect delay time 1; bfd on; "+
				"ipv6 { import all; export where source = RTS_STATIC; }; }\n")
		},
	} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			start(g)
			s := external(g.alone("s1", "fd00:10::/64"), spec.BGPNeighbor{Addr: addr("fd00:99::2"), Local: addr("fd00:99::1"), AS: 65001, BFD: 200})
			s.Hold = 90
			d := g.daemon("s1", s)
			d.awaitWatched()
			g.awaitKernel("s1", 20*time.Second, "fd00:172::/64 via fd00:99::2 dev eth0")
			g.sh("switch", "ip link set p2 down")
			g.awaitKernel("s1", 10*time.Second)
			if n := d.neighbor(addr("fd00:99::2")); !strings.Contains(n.Why, "BFD: silent for ") {
				t.Errorf("%+v", n)
			}
		})
	}
}

// TestRouterStopsBFD: FRR says so, and its session stays. BIRD falls silent without a
// word: it is left, and comes back without BFD.
func TestRouterStopsBFD(t *testing.T) {
	for kind, start := range watchers() {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			r := start(g)
			d := g.daemon("s1", g.watching(calm))
			d.awaitWatched()
			g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
			stop, why, ends := "vtysh --vty_socket "+r.dir+" -c 'configure terminal' -c 'router bgp 65001' -c 'no neighbor 10.99.0.1 bfd'", "it is switched off there", false
			if kind == "bird" {
				stop, why, ends = "sed -i 's/bfd on;//' "+r.dir+"/bird.conf; birdc -s "+r.dir+"/ctl configure soft", "silent for 2500 ms", true
			}
			g.sh("tor", stop)
			g.eventually(20*time.Second, func() error {
				if n := d.neighbor(g.v4("tor")); n.BFD.Up || n.BFD.Why != why || n.State != spec.BGPEstablished {
					return fmt.Errorf("%+v, BFD %+v", n, n.BFD)
				}
				return nil
			})
			g.sh("s1", "ping -q -c 4 -i 1 10.99.0.2") // longer than anything would take
			if log := g.sh("s1", "cat "+d.dir+"/log"); strings.Count(log, "neighbor 10.99.0.2: up") != 1 != ends {
				t.Errorf("ends %v:\n%s", ends, log)
			}
			g.awaitKernel("s1", 5*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0")
		})
	}
}
