//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// router is a real one on a machine of a segment.
type router struct {
	g    *segment
	name string
	dir  string
	pid  int // BIRD's
}

// frr starts zebra and bgpd with the configuration in config, indented as FRR's own.
func (g *segment) frr(name, config string) *router {
	g.t.Helper()
	lab.Need(g.t, "vtysh")
	r := &router{g: g, name: name, dir: g.publicDir()}
	daemons, ctl := []string{"zebra", "bgpd"}, []string(nil)
	if strings.Contains(config, " bfd\n") {
		daemons = []string{"zebra", "bfdd", "bgpd"}
		ctl = []string{"--bfdctl", filepath.Join(r.dir, "bfdd.sock")}
	}
	for d, text := range map[string]string{"zebra": "", "bfdd": "", "bgpd": config} {
		if err := os.WriteFile(filepath.Join(r.dir, d+".conf"), []byte("log stdout\n"+text), 0o644); err != nil {
			g.t.Fatal(err)
		}
	}
	run(g.t, "chown", "-R", "frr:frr", r.dir) // what its daemons become
	for _, d := range daemons {
		args := []string{
			"/usr/lib/frr/" + d, "-f", filepath.Join(r.dir, d+".conf"),
			"-i", filepath.Join(r.dir, d+".pid"), "-z", filepath.Join(r.dir, "zserv.sock"), "--vty_socket", r.dir,
		}
		if d == "bfdd" {
			args = append(args, ctl...)
		}
		g.start(name, filepath.Join(r.dir, d+".log"), nil, args...)
		g.eventually(5*time.Second, func() error { _, err := os.Stat(filepath.Join(r.dir, d+".vty")); return err })
	}
	return r
}

// birdRouter starts BIRD with the configuration in config.
func (g *segment) birdRouter(name, config string) *router {
	g.t.Helper()
	lab.Need(g.t, "bird", "birdc")
	r := &router{g: g, name: name, dir: g.publicDir()}
	conf := filepath.Join(r.dir, "bird.conf")
	head := fmt.Sprintf("router id %s;\nprotocol device { scan time 1; }\nprotocol direct { ipv4; ipv6; }\n"+
		"protocol kernel k4 { ipv4 { export all; }; }\nprotocol kernel k6 { ipv6 { export all; }; }\n", g.v4(name))
	if err := os.WriteFile(conf, []byte(head+config), 0o644); err != nil {
		g.t.Fatal(err)
	}
	r.pid = g.start(name, filepath.Join(r.dir, "bird.log"), nil, "bird", "-f", "-c", conf, "-s", filepath.Join(r.dir, "ctl"), "-P", filepath.Join(r.dir, "pid")).Process.Pid
	g.eventually(5*time.Second, func() error { _, err := os.Stat(filepath.Join(r.dir, "ctl")); return err })
	return r
}

// publicDir is one that daemons find whoever they become, with a short path: those
// of sockets are bounded.
func (g *segment) publicDir() string {
	g.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "flbgp")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// awaitRoute waits until the router's kernel sends what goes to p by via.
func (g *segment) awaitRoute(name, p, via string, within time.Duration) {
	g.t.Helper()
	g.eventually(within, func() error {
		out, err := g.in(name, "ip", "route", "show", p).CombinedOutput()
		if strings.Contains(p, ":") {
			out, err = g.in(name, "ip", "-6", "route", "show", p).CombinedOutput()
		}
		if err != nil {
			return err
		}
		if text := string(out); via == "" && strings.TrimSpace(text) != "" || via != "" && !strings.Contains(text, "via "+via+" ") {
			return fmt.Errorf("%s: want %s by %q, has %q", name, p, via, out)
		}
		return nil
	})
}

// frrConfig is a router of the AS as that meets the neighbour and has networks.
func frrConfig(as uint32, id netip.Addr, neighbor string, more ...string) string {
	return fmt.Sprintf("router bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp network import-check\n"+
		" no bgp default ipv4-unicast\n timers bgp 3 9\n %s\n%s", as, id, neighbor, strings.Join(more, "\n"))
}

const frrFamilies = " address-family ipv4 unicast\n  neighbor %[1]s activate\n  network %[2]s\n exit-address-family\n"

// external makes name's neighbour of s a router outside the network.
func external(s *spec.BGP, n spec.BGPNeighbor) *spec.BGP {
	out := *s
	n.External = true
	out.Neighbors = append(slices.Clone(s.Neighbors), n)
	for i := range out.Neighbors {
		out.Neighbors[i].NextHopSelf = !out.Neighbors[i].External
	}
	return &out
}

// tops are the two real routers, as a top-of-rack router of AS 65001 that meets s1
// and has 172.16.1.0/24 and what else extra says.
func tops() map[string]func(g *segment, name, password string) *router {
	return map[string]func(g *segment, name, password string) *router{
		"frr": func(g *segment, name, password string) *router {
			neighbor := fmt.Sprintf("neighbor %s remote-as 64512", g.v4("s1"))
			if password != "" {
				neighbor += fmt.Sprintf("\n neighbor %s password %s", g.v4("s1"), password)
			}
			return g.frr(name, frrConfig(65001, g.v4(name), neighbor, fmt.Sprintf(frrFamilies, g.v4("s1"),
				"172.16.1.0/24\n  network 0.0.0.0/0\n  network 10.0.0.0/16\n  network 10.0.11.128/25\n  network 10.99.0.2/32")))
		},
		"bird": func(g *segment, name, password string) *router {
			if password != "" {
				password = fmt.Sprintf("password %q;", password)
			}
			return g.birdRouter(name, fmt.Sprintf(`
protocol static { ipv4; route 172.16.1.0/24 blackhole; route 0.0.0.0/0 blackhole; route 10.0.0.0/16 blackhole;
	route 10.0.11.128/25 blackhole; route 10.99.0.2/32 blackhole; }
protocol bgp tor { local %s as 65001; neighbor %s as 64512; hold time 9; connect delay time 1; error wait time 1, 2; %s graceful restart on;
	ipv4 { import all; export where source = RTS_STATIC || source = RTS_BGP; }; }
`, g.v4(name), g.v4("s1"), password))
		},
	}
}

func TestTopOfRack(t *testing.T) {
	for kind, top := range tops() {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "s2", "tor")
			shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
			tor := spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, Secret: "x"}
			top(g, "tor", "geheim")
			s1 := external(g.mesh("s1", shares), tor)
			d1 := g.daemon("s1", s1, "x", "geheim")
			d2 := g.daemon("s2", g.mesh("s2", shares))
			d1.awaitUp()
			// Its prefixes, and none that overlaps ours or would break the segment, in both
			// kernels; ours in its own, and no other.
			g.awaitKernel("s1", 10*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
			g.awaitKernel("s2", 10*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "172.16.1.0/24 via 10.99.0.1 dev eth0")
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 5*time.Second)
			g.awaitRoute("tor", "10.0.11.0/24", "10.99.0.1", 5*time.Second)
			if n := d1.neighbor(g.v4("tor")); n.Received != 5 || n.Accepted != 2 || n.Sent != 2 {
				t.Errorf("want 2 of 5 prefixes accepted (one is of the segment and not for the kernel), and 2 sent, have %+v", n)
			}
			for _, r := range d2.status().Routes {
				if r.Prefix == prefix("172.16.1.0/24") && (r.Paths[0].ASPath != "65001" || r.Paths[0].NextHop != g.v4("s1") || !r.Kernel) {
					t.Errorf("s2: %+v", r)
				}
			}

			t.Run("filters", func(t *testing.T) {
				n := tor
				n.Import = []spec.PrefixRule{{Prefix: prefix("172.16.0.0/12"), LE: 24, Deny: true}, {Prefix: prefix("0.0.0.0/0")}}
				n.Export = []spec.PrefixRule{{Prefix: prefix("10.0.10.0/24")}}
				d1.reload(external(g.mesh("s1", shares), n), "x", "geheim")
				g.awaitKernel("s1", 20*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "default via 10.99.0.3 dev eth0")
				g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 20*time.Second)
				g.awaitRoute("tor", "10.0.11.0/24", "", 5*time.Second)
				n.Import = append(n.Import, spec.PrefixRule{Prefix: prefix("10.77.0.0/16"), LE: 24})
				d1.reload(external(g.mesh("s1", shares), n), "x", "geheim")
				g.eventually(10*time.Second, func() error {
					if have := d1.neighbor(g.v4("tor")).Unmatched; len(have) != 1 || have[0] != n.Import[2] {
						return fmt.Errorf("rules that match nothing: %v", have)
					}
					return nil
				})
				d1.reload(s1, "x", "geheim")
				g.awaitKernel("s1", 20*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
				g.awaitRoute("tor", "10.0.11.0/24", "10.99.0.1", 20*time.Second)
			})

			t.Run("a wrong AS is explained", func(t *testing.T) {
				n := tor
				n.AS = 65009
				d1.reload(external(g.mesh("s1", shares), n), "x", "geheim")
				g.eventually(30*time.Second, func() error {
					if have := d1.neighbor(g.v4("tor")); have.State == spec.BGPEstablished || !strings.Contains(have.Why, "it says AS 65001, and AS 65009 is expected of it") {
						return fmt.Errorf("%+v", have)
					}
					return nil
				})
				g.awaitKernel("s1", time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0")
			})

			t.Run("a wrong password is explained", func(t *testing.T) {
				d1.reload(s1, "x", "falsch")
				g.eventually(30*time.Second, func() error {
					if have := d1.neighbor(g.v4("tor")); have.State == spec.BGPEstablished || !strings.Contains(have.Why, "password") || strings.Contains(have.Why, "falsch") {
						return fmt.Errorf("%+v", have)
					}
					return nil
				})
				d1.reload(s1, "x", "geheim")
				g.awaitKernel("s1", 40*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
			})
		})
	}
}

// TestOwnPrefixesComeBack: FRR announces what it heard of us to us again when it has
// another neighbour of our AS; these are not counted.
func TestOwnPrefixesComeBack(t *testing.T) {
	g := newSegment(t, "s1", "s2", "tor")
	g.frr("tor", frrConfig(65001, g.v4("tor"), fmt.Sprintf("neighbor %s remote-as 64512\n neighbor %s remote-as 64512", g.v4("s1"), g.v4("s2")),
		fmt.Sprintf(frrFamilies, g.v4("s1"), "172.16.1.0/24"), fmt.Sprintf(frrFamilies, g.v4("s2"), "10.0.0.0/16")))
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	tor := spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001}
	d1 := g.daemon("s1", external(g.mesh("s1", shares), tor))
	d2 := g.daemon("s2", external(g.mesh("s2", shares), tor))
	g.awaitKernel("s1", 20*time.Second, "10.0.11.0/24 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
	g.awaitKernel("s2", 20*time.Second, "10.0.10.0/24 via 10.99.0.1 dev eth0", "172.16.1.0/24 via 10.99.0.3 dev eth0")
	for _, d := range []*daemonProcess{d1, d2} {
		g.eventually(10*time.Second, func() error {
			if n := d.neighbor(g.v4("tor")); n.Received != 2 || n.Accepted != 1 {
				return fmt.Errorf("want 1 of 2 prefixes accepted, have %+v", n)
			}
			return nil
		})
	}
}

// TestRestartBesideRouters: real routers keep our routes through a restart, and we
// theirs.
func TestRestartBesideRouters(t *testing.T) {
	for kind, top := range tops() {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor")
			g.sh("tor", "ip address add 172.16.1.1/32 dev lo")
			g.sh("s1", "ip address add 10.0.10.1/32 dev lo")
			top(g, "tor", "")
			d := g.daemon("s1", external(g.alone("s1", "10.0.10.0/24"), spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001}))
			g.awaitKernel("s1", 20*time.Second, "172.16.1.0/24 via 10.99.0.2 dev eth0", "10.0.11.128/25 via 10.99.0.2 dev eth0")
			g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", 5*time.Second)
			for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
				p := g.ping("s1", "10.0.10.1", "172.16.1.1")
				d.stop(signal)
				d.run()
				d.awaitUp()
				g.eventually(25*time.Second, func() error {
					if s := d.status(); s.Restarts || len(s.Routes) < 2 {
						return fmt.Errorf("still restarting: %+v", s)
					}
					return nil
				})
				// The other one sweeps what we did not tell again by now.
				g.awaitRoute("tor", "10.0.10.0/24", "10.99.0.1", time.Second)
				p.await(50) // a restart may be over sooner
				if lost, sent := p.lost(); lost > 0 || sent < 50 {
					t.Errorf("%v: lost %d of %d", signal, lost, sent)
				}
			}
		})
	}
}

// A neighbour's password goes with it.
func TestPasswordsGoWithTheirNeighbor(t *testing.T) {
	lab.Need(t, "busybox")
	g := newSegment(t, "s1", "tor")
	n := spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001, Secret: "x"}
	s1 := g.alone("s1", "10.0.10.0/24")
	d := g.daemon("s1", external(s1, n), "x", "geheim")
	connect := func() error { return g.in("tor", "busybox", "nc", "-w", "1", "10.99.0.1", "179", "-e", "true").Run() }
	if connect() == nil {
		t.Error("somebody without the password connects")
	}
	d.reload(s1)
	g.eventually(5*time.Second, connect)
}
