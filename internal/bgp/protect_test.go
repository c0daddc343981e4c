//go:build linux

package bgp

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// notes has the agent note the workstation and a confirmed spec.
func (d *daemonProcess) notes(workstation string, h *spec.Host) {
	d.g.t.Helper()
	data, err := json.Marshal(h)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, spec.SpecFile), data, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, spec.WorkstationFile), []byte(workstation+"\n"), 0o600)
	}
	if err != nil {
		d.g.t.Fatal(err)
	}
}

// greedy are real routers that announce more particular ways to what the server lives
// by, with the next hop next; "" for their own.
func greedy(g *segment) map[string]func(next string) *router {
	announced := []string{"128.0.0.0/1", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.96.0.0/11", "172.16.1.0/24"}
	return map[string]func(next string) *router{
		"frr": func(next string) *router {
			set := ""
			if next != "" {
				set = " set ip next-hop " + next + "\n"
			}
			families := fmt.Sprintf(" address-family ipv4 unicast\n  neighbor %[1]s activate\n  neighbor %[1]s route-map out out\n", g.v4("s1"))
			for _, p := range announced {
				families += "  network " + p + "\n"
			}
			return g.frr("tor", frrConfig(65001, g.v4("tor"), fmt.Sprintf("neighbor %s remote-as 64512", g.v4("s1")), families+" exit-address-family\n!\nroute-map out permit 10\n"+set))
		},
		"bird": func(next string) *router {
			routes, set := "", ""
			for _, p := range announced {
				routes += " route " + p + " blackhole;"
			}
			if next != "" {
				set = "bgp_next_hop = " + next + "; "
			}
			return g.birdRouter("tor", fmt.Sprintf(`protocol static { ipv4;%s }
protocol bgp s1 { local %s as 65001; neighbor %s as 64512; hold time 9; connect delay time 1; error wait time 1, 2;
	ipv4 { import all; export filter { %saccept; }; }; }
`, routes, g.v4("tor"), g.v4("s1"), set))
		},
	}
}

// awaitWhy waits until d says of its route to p that the kernel has it not, for why.
func (g *segment) awaitWhy(d *daemonProcess, p, why string) {
	g.t.Helper()
	g.eventually(10*time.Second, func() error {
		for _, r := range d.status().Routes {
			if r.Prefix == prefix(p) && !r.Kernel && strings.Contains(r.Why, why) && r.Held == strings.HasPrefix(r.Why, "held back") {
				return nil
			}
		}
		return fmt.Errorf("want %s kept out for %q, have %+v", p, why, d.status().Routes)
	})
}

// TestLearnedRoutesTakeNobodysWay: whatever a router announces, the workstation, other
// servers and the default gateway are reached as without it, unless that is wanted.
func TestLearnedRoutesTakeNobodysWay(t *testing.T) {
	for _, kind := range []string{"frr", "bird"} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor", "gw")
			// A gateway as clouds have it: on no network of the server's.
			g.sh("s1", "ip route add default via 203.0.113.1 dev eth0 onlink; sysctl -qw net.ipv4.conf.eth0.arp_announce=0")
			g.sh("gw", "ip address add 203.0.113.1/32 dev eth0; ip address add 192.0.2.7/32 dev lo; ip address add 198.51.100.4/32 dev lo")
			greedy(g)[kind]("")
			s1 := external(&spec.BGP{Network: "bnet", AS: 64512, RouterID: g.v4("s1"), Hold: 9}, spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001})
			host := &spec.Host{Peers: []spec.Peer{{Endpoint: "198.51.100.4:51820"}}}
			d := g.daemon("s1", s1)
			d.notes("192.0.2.7", host)
			d.awaitUp()
			harmless := []string{"10.96.0.0/11 via 10.99.0.2 dev eth0", "172.16.1.0/24 via 10.99.0.2 dev eth0"}
			g.awaitKernel("s1", 10*time.Second, harmless...)
			for p, why := range map[string]string{
				"128.0.0.0/1": "the way to", "192.0.2.0/24": "the way to the workstation, 192.0.2.7",
				"198.51.100.0/24": "the way to another server, 198.51.100.4", "203.0.113.0/24": "the way to the default gateway, 203.0.113.1",
			} {
				g.awaitWhy(d, p, "held back: it would take "+why)
			}
			g.sh("s1", "ping -n -c 3 -i 0.1 -W 5 192.0.2.7")

			// A daemon that starts anew has it from the file, before it hears anything.
			d.stop(os.Kill)
			d.run()
			d.awaitUp()
			g.awaitWhy(d, "192.0.2.0/24", "the way to the workstation")
			g.awaitKernel("s1", 10*time.Second, harmless...)

			// The workstation moves to where its way is nobody's to take, and back.
			d.notes("10.99.0.3", &spec.Host{})
			g.awaitKernel("s1", 10*time.Second, append([]string{"192.0.2.0/24 via 10.99.0.2 dev eth0", "198.51.100.0/24 via 10.99.0.2 dev eth0"}, harmless...)...)
			g.awaitWhy(d, "128.0.0.0/1", "the default gateway")
			d.notes("192.0.2.7", host)
			g.awaitKernel("s1", 10*time.Second, harmless...)

			// What the router's way is too is no loss.
			g.sh("s1", "ip route add 192.0.2.0/25 via 10.99.0.2")
			g.awaitKernel("s1", 10*time.Second, append([]string{"192.0.2.0/24 via 10.99.0.2 dev eth0"}, harmless...)...)
			g.sh("s1", "ip route del 192.0.2.0/25 via 10.99.0.2")
			g.awaitKernel("s1", 10*time.Second, harmless...)

			s1.Forced = []spec.PrefixRule{{Prefix: prefix("192.0.2.0/24")}, {Prefix: prefix("128.0.0.0/1")}}
			d.reload(s1)
			g.awaitKernel("s1", 10*time.Second, append([]string{"192.0.2.0/24 via 10.99.0.2 dev eth0", "128.0.0.0/1 via 10.99.0.2 dev eth0"}, harmless...)...)
		})
	}
}

// TestNextHopsMustAnswer: an address that is not the neighbour's own is a next hop once
// somebody has it, and as long as nobody better is there.
func TestNextHopsMustAnswer(t *testing.T) {
	for _, kind := range []string{"frr", "bird"} {
		t.Run(kind, func(t *testing.T) {
			g := newSegment(t, "s1", "tor", "gw")
			greedy(g)[kind]("10.99.0.77")
			s1 := external(&spec.BGP{Network: "bnet", AS: 64512, RouterID: g.v4("s1"), Hold: 9}, spec.BGPNeighbor{Addr: g.v4("tor"), AS: 65001})
			d := g.daemon("s1", s1)
			d.awaitUp()
			g.awaitWhy(d, "172.16.1.0/24", "next hop 10.99.0.77 does not answer")
			g.awaitKernel("s1", time.Second)
			g.sh("gw", "ip address add 10.99.0.77/24 dev eth0")
			all := []string{"10.96.0.0/11", "128.0.0.0/1", "172.16.1.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"}
			for i, p := range all {
				all[i] = p + " via 10.99.0.77 dev eth0"
			}
			g.awaitKernel("s1", 10*time.Second, all...)
			g.sh("gw", "ip address del 10.99.0.77/24 dev eth0")
			g.sh("s1", "ip neigh replace 10.99.0.77 dev eth0 nud failed")
			g.awaitUnused(d, "172.16.1.0/24", "next hop 10.99.0.77 does not answer")
			g.awaitKernel("s1", time.Second, all...)
		})
	}
}

// TestWhatPrevails: which routes take the way to an address is decided as the kernel
// does, by length and then by metric, in both families.
func TestWhatPrevails(t *testing.T) {
	gw, dev := netip.MustParseAddr, 2
	route := func(dst, via string, metric int) netlink.Route {
		p := prefix(dst)
		r := netlink.Route{Dst: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}, LinkIndex: dev, Priority: metric, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, Family: netlink.FAMILY_V4}
		if p.Addr().Is6() {
			r.Family = netlink.FAMILY_V6
		}
		if via != "" {
			r.Gw = gw(via).AsSlice()
		}
		return r
	}
	devices := map[int]device{2: {"eth0", true, true}, 3: {"eth1", true, true}}
	for name, c := range map[string]struct {
		routes []netlink.Route
		keep   string // protected
		to     string // learned, by 10.99.0.3 or fd00::3
		held   bool
	}{
		"longer than the default route":     {[]netlink.Route{route("0.0.0.0/0", "10.99.0.1", 100)}, "192.0.2.7", "128.0.0.0/1", true},
		"a default route preferred to it":   {[]netlink.Route{route("0.0.0.0/0", "10.99.0.1", 100)}, "192.0.2.7", "0.0.0.0/0", true},
		"a default route it goes before":    {[]netlink.Route{route("0.0.0.0/0", "10.99.0.1", 0)}, "192.0.2.7", "0.0.0.0/0", false},
		"shorter than the route there":      {[]netlink.Route{route("192.0.2.0/24", "10.99.0.1", 100)}, "192.0.2.7", "192.0.0.0/16", false},
		"on the link":                       {[]netlink.Route{route("10.99.0.0/24", "", 0)}, "10.99.0.7", "10.0.0.0/8", false},
		"the address itself":                {[]netlink.Route{route("0.0.0.0/0", "10.99.0.1", 0)}, "192.0.2.7", "192.0.2.7/32", true},
		"beside it":                         {[]netlink.Route{route("0.0.0.0/0", "10.99.0.1", 0)}, "192.0.2.7", "192.0.2.8/32", false},
		"by the same gateway":               {[]netlink.Route{route("0.0.0.0/0", "10.99.0.3", 100)}, "192.0.2.7", "128.0.0.0/1", false},
		"nobody leads there yet":            {nil, "192.0.2.7", "128.0.0.0/1", false},
		"IPv6, longer":                      {[]netlink.Route{route("::/0", "fd00::1", 1024)}, "2001:db8::7", "2000::/3", true},
		"IPv6, a default route preferred":   {[]netlink.Route{route("::/0", "fd00::1", 1024)}, "2001:db8::7", "::/0", true},
		"IPv6, as wide as the route there":  {[]netlink.Route{route("2001:db8::/32", "fd00::1", 1024)}, "2001:db8::7", "2001:db8::/32", true},
		"IPv6, a route with a lower metric": {[]netlink.Route{route("2001:db8::/32", "fd00::1", 20)}, "2001:db8::7", "2001:db8::/32", false},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newWorld(c.routes, nil, devices)
			f := &fib{guarded: w.guarded(protectedAddrs{workstation: gw(c.keep)})}
			hop3 := hop{gw("10.99.0.3"), dev}
			if prefix(c.to).Addr().Is6() {
				hop3.via = gw("fd00::3")
			}
			if takes := f.takes(prefix(c.to), []hop{hop3}); (takes != "") != c.held {
				t.Errorf("want held %v, have %q", c.held, takes)
			}
		})
	}
}

// TestWhatIsProtected: what was confirmed says where other servers are, a damaged note
// has its copy, and what is not known takes nothing else away.
func TestWhatIsProtected(t *testing.T) {
	p := &protected{dir: t.TempDir()}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(want string) {
		t.Helper()
		addrs := p.read()
		if have := fmt.Sprintf("{%s %s}", addrs.workstation, addrs.underlay); have != want {
			t.Errorf("want %s, have %s", want, have)
		}
		if p.moved() {
			t.Error("read, and still new")
		}
	}
	holds("{invalid IP []}")
	data, err := json.Marshal(&spec.Host{
		BGP:    &spec.BGP{Neighbors: []spec.BGPNeighbor{{Addr: addr("10.99.0.9")}}},
		Links:  []spec.Link{{Name: "gre1", Tunnel: &spec.Tunnel{Local: addr("10.99.0.1"), Remote: addr("10.99.0.3")}}, {Name: "vx0", Tunnel: &spec.Tunnel{Group: addr("239.1.1.1")}}},
		Peers:  []spec.Peer{{Endpoint: "192.0.2.4:51820"}, {Endpoint: "s5.example:51820"}, {}},
		Floods: []spec.Flood{{Link: "vx0", To: spec.NewAddrSet(addr("10.99.0.1"), addr("10.99.0.3"))}},
		FDB:    []spec.FDB{{Link: "vx0", Dst: addr("10.99.0.4")}}, Members: []spec.Member{{Addr: addr("10.99.0.5")}},
		Routes: []spec.Route{{Via: addr("10.99.0.6")}, {Unreachable: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const all = "[10.99.0.1 10.99.0.3 10.99.0.4 10.99.0.5 10.99.0.6 10.99.0.9 192.0.2.4]"
	write(spec.SpecFile, string(data))
	holds("{invalid IP " + all + "}")
	write(spec.WorkstationFile, "192.0.2.7\n")
	holds("{192.0.2.7 " + all + "}")
	write(spec.SpecFile+".copy", string(data))
	write(spec.SpecFile, "{")
	holds("{192.0.2.7 " + all + "}")
	write(spec.WorkstationFile, "damaged")
	holds("{invalid IP " + all + "}")
}
