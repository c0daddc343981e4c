//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/spec"
)

// exaNeighbor is one of ExaBGP's sides of a session.
type exaNeighbor struct {
	name   string
	as     uint32   // 0: 65001
	config string   // further lines of its neighbour section
	static string   // its routes, one a line
	api    string   // what its process says to ExaBGP, over and over, a line every 0.2 s
	says   string   // by showbgp, among what else; standing: nothing, the session is up
	routes []string // that the kernels have of it
	path   string   // the AS path of these
}

// flapping is what one of them announces and withdraws all the time.
const flapping = "172.30.9.0/24"

// exaNeighbors are what a lively neighbour of another make does, right and wrong.
func exaNeighbors() []exaNeighbor {
	return []exaNeighbor{
		{name: "plain", static: "route 172.30.0.0/24 next-hop self;", routes: []string{"172.30.0.0/24"}, path: "65001"},
		{
			name: "every attribute", path: "65001 4200000000 {64999,65536}",
			static: `route 172.30.1.0/24 next-hop self origin incomplete med 77 local-preference 999 atomic-aggregate aggregator ( 4200000000:1.2.3.4 ) ` +
				`as-path [ 65001 4200000000 ( 64999 65536 ) ] community [ no-export 1:2 65535:666 ] large-community [ 4200000000:1:2 ] ` +
				`extended-community [ target:1:1 origin:4200000000:7 0x0002fde800000001 ] originator-id 9.9.9.9 cluster-list [ 8.8.8.8 7.7.7.7 ] aigp 100;`,
			config: "capability { aigp enable; }",
			routes: []string{"172.30.1.0/24"},
		},
		{
			name: "raw attributes", path: "65001",
			static: "route 172.30.2.0/24 next-hop self attribute [ 0x63 0xe0 0xdeadbeef ] attribute [ 0x11 0xc0 0x02010000fde9 ];",
			routes: []string{"172.30.2.0/24"},
		},
		{
			name: "two octets for an AS", path: "65001 4200000001", config: "capability { asn4 disable; }",
			static: "route 172.30.3.0/24 next-hop self as-path [ 65001 4200000001 ] aggregator ( 4200000000:1.2.3.4 );",
			routes: []string{"172.30.3.0/24"},
		},
		{
			name: "an AS4_PATH that overruns", config: "capability { asn4 disable; }",
			static: "route 172.30.4.0/24 next-hop self attribute [ 0x11 0xc0 0x02090001 ];",
		},
		{
			name: "an AS4_AGGREGATOR that is cut", config: "capability { asn4 disable; }",
			static: "route 172.30.5.0/24 next-hop self attribute [ 0x12 0xc0 0x000102 ];",
			says:   "AS4 Aggregator length is incorrect",
		},
		{name: "a wrong community", static: "route 172.30.6.0/24 next-hop self attribute [ 0x08 0xc0 0x010203 ];"},
		{name: "an unknown well-known attribute", static: "route 172.30.7.0/24 next-hop self attribute [ 0x63 0x40 0x01 ];", says: "unrecognized well-known attribute"},
		{
			name: "every family and capability", path: "65001",
			config: `family { ipv4 unicast; ipv4 multicast; ipv4 nlri-mpls; ipv4 mpls-vpn; ipv4 flow; ipv4 flow-vpn; ipv6 unicast; ipv6 flow; l2vpn vpls; l2vpn evpn; bgp-ls bgp-ls; }
				capability { asn4 enable; aigp enable; operational enable; route-refresh enable; graceful-restart 360; add-path send/receive; extended-message enable; }
				nexthop { ipv4 unicast ipv6; ipv6 unicast ipv4; }
				flow { route f { match { source 172.30.0.0/16; destination 10.0.11.0/24; port [ =80 >8080&<8088 ]; tcp-flags [ urgent rst ]; } then { redirect 65500:12345; } } }`,
			static: `route 172.30.8.0/24 next-hop self;
				route 172.30.88.0/24 rd 65000:1 next-hop self extended-community [ 0x0002fde800000001 ] label 1000 split /25;`,
			routes: []string{"172.30.8.0/24"},
		},
		{name: "a capability without content", config: "capability { nexthop enable; }", says: "Not all CapabilityExtendedNexthop bytes available"},
		{name: "flapping routes", api: "announce route " + flapping + " next-hop self\nwithdraw route " + flapping + " next-hop self"},
		{name: "refreshes", path: "65001", config: "capability { route-refresh enable; }", static: "route 172.30.10.0/24 next-hop self;", api: "announce route-refresh ipv4 unicast", routes: []string{"172.30.10.0/24"}},
		{name: "resets", api: "teardown 4", says: "it ended the session: code 6(cease) subcode 4(administrative reset)"},
		{name: "sessions of several families", config: "capability { multi-session enable; }", says: "it ended the session: code 2(open) subcode 9"},
		{name: "another AS", as: 65077, says: "it says AS 65077, and AS 65001 is expected of it"},
	}
}

// section is the neighbour as ExaBGP is told of it.
func (n exaNeighbor) section(t *testing.T, i int, local, remote netip.Addr, dir string) string {
	as := n.as
	if as == 0 {
		as = 65001
	}
	lines := strings.NewReplacer("{ ", "{\n", "; ", ";\n", "\t", "") // it takes one statement a line
	text := fmt.Sprintf("neighbor %s {\nrouter-id 9.9.9.%d;\nlocal-address %s;\nlocal-as %d;\npeer-as 64512;\nhold-time 9;\n%s\n", remote, i+1, local, as, lines.Replace(n.config))
	if n.static != "" {
		text += "static {\n" + n.static + "\n}\n"
	}
	if n.api == "" {
		return text + "}\n"
	}
	return fmt.Sprintf("process p%d {\nrun %s;\nencoder text;\n}\n%sapi {\nprocesses [ p%d ];\n}\n}\n", i, n.process(t, i, local, remote, dir), text, i)
}

// process writes the program that tells ExaBGP what to do.
func (n exaNeighbor) process(t *testing.T, i int, local, remote netip.Addr, dir string) string {
	script := "#!/bin/sh\nwhile :; do\n"
	for line := range strings.Lines(n.api) {
		script += fmt.Sprintf("echo 'neighbor %s local-ip %s %s'; sleep 0.2\n", remote, local, strings.TrimSpace(line))
	}
	path := filepath.Join(dir, fmt.Sprintf("p%d", i))
	if err := os.WriteFile(path, []byte(script+"done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExaBGP: whatever neighbours of another make do, right or wrong, the others' sessions
// and routes stay, what is sound is taken, and of the rest it is said what it is.
func TestExaBGP(t *testing.T) {
	lab.Need(t, "exabgp")
	g := newSegment(t, "s1", "s2", "exa")
	shares := map[string][]netip.Prefix{"s1": prefixes("10.0.10.0/24"), "s2": prefixes("10.0.11.0/24")}
	s1 := g.mesh("s1", shares)
	dir := g.publicDir()
	var config strings.Builder
	first := addr("10.99.0.100")
	local, want := first, map[netip.Addr]expected{}
	for i, n := range exaNeighbors() {
		g.sh("exa", fmt.Sprintf("ip address add %s/24 dev eth0", local))
		s1 = external(s1, spec.BGPNeighbor{Addr: local, AS: 65001, MaxPrefixes: 1000})
		config.WriteString(n.section(t, i, local, g.v4("s1"), dir))
		want[local] = expected{n.name, n.says}
		local = local.Next()
	}
	conf := filepath.Join(dir, "exabgp.conf")
	if err := os.WriteFile(conf, []byte(config.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	d1, d2 := g.daemon("s1", s1), g.daemon("s2", g.mesh("s2", shares))
	d2.awaitUp()
	g.start("exa", filepath.Join(dir, "log"), []string{"exabgp_api_cli=false", "exabgp_api_ack=false", "exabgp_daemon_drop=false"}, "exabgp", conf)
	d1.says(30*time.Second, want)
	sound := []string{}
	for _, n := range exaNeighbors() {
		for _, p := range n.routes {
			sound = append(sound, p+" via 10.99.0.1 dev eth0 as "+n.path)
		}
	}
	g.awaitExa(d2, sound)
	d1.neverLost(g.v4("s2"))
	// And it goes on.
	d2.reload(g.mesh("s2", map[string][]netip.Prefix{"s1": shares["s1"], "s2": prefixes("10.0.21.0/24")}))
	g.awaitRoute("s1", "10.0.21.0/24", "10.99.0.2", 5*time.Second)
}

// awaitExa waits until the daemon and its kernel have ExaBGP's sound routes and no other
// of its own, and the flapping one has been there, and not.
func (g *segment) awaitExa(d *daemonProcess, sound []string) {
	g.t.Helper()
	seen := map[bool]bool{}
	g.eventually(10*time.Second, func() error {
		kernel, paths, have := g.kernel(d.name), map[string]string{}, []string{}
		for _, r := range d.status().Routes {
			if len(r.Paths) > 0 {
				paths[r.Prefix.String()] = r.Paths[0].ASPath
			}
		}
		flaps := false
		for _, line := range kernel {
			p, _, _ := strings.Cut(line, " ")
			switch {
			case p == flapping:
				flaps = true
			case strings.HasPrefix(p, "172."):
				have = append(have, line+" as "+paths[p])
			}
		}
		seen[flaps] = true
		slices.Sort(have)
		slices.Sort(sound)
		if !slices.Equal(have, sound) || len(seen) < 2 {
			return fmt.Errorf("want\n  %s\nhave\n  %s\n, the flapping one seen and not: %v", strings.Join(sound, "\n  "), strings.Join(have, "\n  "), seen)
		}
		return nil
	})
}
