//go:build linux

package nft

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// dockerRules is what Docker leaves in the kernel, as iptables-nft writes it.
const dockerRules = `for f in ip ip6; do
	nft add table $f filter
	nft add chain $f filter DOCKER-USER
	nft add rule $f filter DOCKER-USER counter return
	nft "add chain $f filter FORWARD { type filter hook forward priority 0; policy drop; }"
	nft add rule $f filter FORWARD counter jump DOCKER-USER
done`

// libvirtRules are those of libvirt's, whose policy is to accept, as far as they refuse.
const libvirtRules = `for f in ip ip6; do
	nft add table $f filter
	nft add chain $f filter LIBVIRT_FWI
	nft add rule $f filter LIBVIRT_FWI counter reject
	nft "add chain $f filter FORWARD { type filter hook forward priority 0; policy accept; }"
	nft add rule $f filter FORWARD counter jump LIBVIRT_FWI
done`

const dropPolicy = `nft add table %s fence; nft "add chain %s fence forward { type filter hook forward priority 10; policy drop; }"`

func TestForwardPassesDropPolicies(t *testing.T) {
	policies := map[string]string{
		"docker":         dockerRules,
		"ip ip6":         strings.ReplaceAll(dropPolicy, "%s", "ip") + "\n" + strings.ReplaceAll(dropPolicy, "%s", "ip6"),
		"inet":           strings.ReplaceAll(dropPolicy, "%s", "inet"),
		"docker, inet":   dockerRules + "\n" + strings.ReplaceAll(dropPolicy, "%s", "inet"),
		"libvirt":        libvirtRules,
		"docker flushed": dockerRules + "\nnft flush chain ip filter FORWARD; nft flush chain ip6 filter FORWARD",
	}
	for by, forwards := range forwardsBy() {
		passesDropPolicies(t, by, forwards, policies)
	}
}

// forwardsBy are the two ways to say what is forwarded, for the overlay's containers.
func forwardsBy() map[string][]spec.Forward {
	return map[string][]spec.Forward{
		"link":   {{Network: "vx1", Link: "vxl0"}},
		"subnet": {{Network: "vx1", Subnet: netip.MustParsePrefix("10.0.4.0/24")}, {Network: "vx1", Subnet: netip.MustParsePrefix("fd00:4::/64")}},
	}
}

// pooled makes of an overlay's server one whose containers are of a pool.
func pooled(h *spec.Host) {
	for _, f := range forwardsBy()["subnet"] {
		h.Keeps = append(h.Keeps, spec.PreserveSource{Network: f.Network, Subnet: f.Subnet, To: []netip.Prefix{f.Subnet}})
	}
}

// forwarding is what an overlay's first server wants, with other forwards.
func forwarding(forwards []spec.Forward) *spec.Host {
	want := overlayHost(0)
	pooled(want)
	want.Forwards = forwards
	return want
}

// stepsFor is how steps about forwards are printed.
func stepsFor(action string, forwards []spec.Forward) string {
	out := ""
	for _, f := range forwards {
		out += action + " " + f.String() + "\n"
	}
	return out
}

func passesDropPolicies(t *testing.T, by string, forwards []spec.Forward, policies map[string]string) {
	o := writtenOverlay(t, pooled)
	s, c, want := o.servers[0], o.containers[0], forwarding(forwards)
	put(s, want)
	for name, policy := range policies {
		t.Run(by+", "+name, func(t *testing.T) {
			before := s.Ruleset()
			s.Sh(policy)
			dropped := s.Ruleset()
			c.ReachesNot("10.99.0.254", "10.0.4.3", "fd99::254", "fd00:4::a2")
			if d := differs(s, want); d != stepsFor("+", forwards) {
				t.Errorf("a policy that drops is seen as %q", d)
			}
			put(s, want)
			for _, ip := range []string{"10.99.0.254", "10.0.4.3", "fd99::254", "fd00:4::a2"} {
				c.Reaches(ip)
			}
			without := forwarding(nil)
			if d := differs(s, without); d != stepsFor("-", forwards) {
				t.Errorf("accepts nobody wants are seen as %q", d)
			}
			put(s, without)
			if have := s.Ruleset(); have != dropped {
				t.Errorf("after removal:\n%s\nwant:\n%s", have, dropped)
			}
			s.Sh("for f in ip ip6 inet; do nft delete table $f filter || true; nft delete table $f fence || true; done 2>/dev/null")
			if have := s.Ruleset(); have != before {
				t.Errorf("the test leaves\n%s\nwant:\n%s", have, before)
			}
		})
	}
}

// TestForwardsAreAsWideAsTheNetwork: an accept lets through what is the network's, and
// leaves to those who drop what concerns their own, and who comes from outside.
func TestForwardsAreAsWideAsTheNetwork(t *testing.T) {
	for by, forwards := range forwardsBy() {
		t.Run(by, func(t *testing.T) {
			o := writtenOverlay(t, pooled)
			s, c, want := o.servers[0], o.containers[0], forwarding(forwards)
			other := newHost(t)
			s.Sh(`ip link add br-x type bridge; ip link set br-x up; ip addr add 172.30.0.1/24 dev br-x; ip addr add fd30::1/64 dev br-x nodad`)
			other.Join("eth0", s.Space, "x1", "br-x")
			other.Sh(`ip addr add 172.30.0.2/24 dev eth0; ip route add default via 172.30.0.1
				ip addr add fd30::2/64 dev eth0 nodad; ip route add default via fd30::1`)
			o.fabric.Sh("ip route add 10.0.4.0/24 via 10.99.0.1; ip route add fd00:4::/64 via fd99::1; ip route add 172.30.0.0/24 via 10.99.0.1; ip route add fd30::/64 via fd99::1")
			c.Reaches("172.30.0.2")
			c.Reaches("fd30::2")
			o.fabric.Reaches("10.0.4.2")
			for name, policy := range map[string]string{"docker": dockerRules, "inet": strings.ReplaceAll(dropPolicy, "%s", "inet")} {
				s.Sh(policy)
				put(s, want)
				c.ReachesNot("172.30.0.2", "fd30::2")
				other.ReachesNot("10.0.4.2", "fd00:4::a1", "10.0.4.3")
				o.fabric.ReachesNot("10.0.4.2", "fd00:4::a1", "172.30.0.2")
				for _, ip := range []string{"10.99.0.254", "10.0.4.3", "fd99::254", "fd00:4::a2"} {
					c.Reaches(ip)
				}
				// iptables reads its tables with our rules in them.
				if name == "docker" {
					if list := s.Sh("iptables -S DOCKER-USER; ip6tables -S DOCKER-USER"); strings.Count(list, "--ctstate RELATED,ESTABLISHED") != 2 {
						t.Errorf("iptables reads %s", list)
					}
				}
				s.Sh("for f in ip ip6 inet; do nft delete table $f filter || true; nft delete table $f fence || true; done 2>/dev/null")
			}
		})
	}
}

// TestMatchesOfEachKind: shares pass between a tunnel and their subnet, what BGP announces
// is reached from outside, a pool's part by the pool.
func TestMatchesOfEachKind(t *testing.T) {
	p := netip.MustParsePrefix
	n := &Filters{Uplinks: []string{"eth0"}}
	want := &spec.Host{
		BGP:      &spec.BGP{Network: "b"},
		Forwards: []spec.Forward{{Network: "v", Link: "vxl0"}, {Network: "w", Link: "wg-w"}, {Network: "b", Subnet: p("10.7.0.0/24")}, {Network: "h", Subnet: p("10.244.0.0/16")}, {Network: "h", Subnet: p("10.9.0.0/24")}},
		Keeps: []spec.PreserveSource{
			{Network: "w", Link: "wg-w", Subnet: p("10.0.4.0/24")}, {Network: "b", Subnet: p("10.7.0.0/24")}, {Network: "h", Subnet: p("10.244.1.0/24")},
		},
	}
	for i, matches := range []string{
		"-i vxl0 -o vxl0;-i vxl0 -o eth0;-o vxl0 back",
		"-i wg-w -o wg-w;-i wg-w -o eth0;-o wg-w back;-d 10.0.4.0/24 -i wg-w;-s 10.0.4.0/24 -o wg-w",
		"-s 10.7.0.0/24 -d 10.7.0.0/24;-s 10.7.0.0/24 -o eth0;-d 10.7.0.0/24 -i eth0;-s 10.7.0.0/24 -o vxl0;-d 10.7.0.0/24 -i vxl0;-s 10.7.0.0/24 -o wg-w;-d 10.7.0.0/24 -i wg-w;-d 10.7.0.0/24 back",
		"-s 10.244.1.0/24 -d 10.244.0.0/16;-s 10.244.0.0/16 -d 10.244.1.0/24;-s 10.244.1.0/24 -o eth0;-d 10.244.1.0/24 back",
		"-s 10.244.1.0/24 -d 10.9.0.0/24;-s 10.9.0.0/24 -d 10.244.1.0/24",
	} {
		var have []string
		for _, m := range n.matches(want.Forwards[i], want) {
			have = append(have, strings.TrimSpace(strings.Replace(m.legacy(), "-m conntrack --ctstate RELATED,ESTABLISHED", "back", 1)))
			if back := readLegacy(strings.Fields(m.legacy() + "-j ACCEPT")); back != (match{m.in, m.out, m.src, m.dst, false}) {
				t.Errorf("%v is read as %v", m, back)
			}
			if n.forwardOf(m, want.Forwards[i].Network, want).Network != want.Forwards[i].Network {
				t.Errorf("%v is another network's", m)
			}
		}
		if strings.Join(have, ";") != matches {
			t.Errorf("%s:\nwant %s\nhave %s", want.Forwards[i], matches, strings.Join(have, ";"))
		}
	}
}

func TestForwardLooksAtNothingElse(t *testing.T) {
	h := newHost(t)
	h.Sh(`nft add table ip filter; nft "add chain ip filter FORWARD { type filter hook forward priority 0; policy accept; }"
		nft "add chain ip filter INPUT { type filter hook input priority 0; policy drop; }"
		nft add table bridge b; nft "add chain bridge b f { type filter hook forward priority 0; policy drop; }"`)
	before := sortedLines(h.Ruleset())
	put(h, &spec.Host{Cluster: "c1", Forwards: []spec.Forward{{Network: "vx1", Link: "vxl0"}}})
	if have := sortedLines(h.Ruleset()); have != before {
		t.Errorf("changed to:\n%s\nfrom:\n%s", have, before)
	}
}

func TestForwardDamageIsSeen(t *testing.T) {
	h := newHost(t)
	h.Sh(dockerRules)
	want := &spec.Host{Cluster: "c1", Forwards: []spec.Forward{{Network: "vx1", Link: "vxl0"}, {Network: "vx2", Link: "vxl1"}}}
	other := &spec.Host{Cluster: "c2", Forwards: []spec.Forward{{Network: "vx1", Link: "vxl9"}}}
	put(h, other)
	put(h, want)
	clean := sortedLines(h.Ruleset())
	damages := map[string]string{
		"deleted":   `nft delete rule ip filter DOCKER-USER handle $(nft -a list chain ip filter DOCKER-USER | grep 'iifname "vxl0" oifname "eth0"' | grep -o '[0-9]*$')`,
		"changed":   `nft replace rule ip filter DOCKER-USER handle $(nft -a list chain ip filter DOCKER-USER | grep 'iifname "vxl0" oifname "eth0"' | grep -o '[0-9]*$') iifname vxl0 oifname eth0 counter drop comment \"flock:c1/vx1\"`,
		"twice":     `nft insert rule ip6 filter DOCKER-USER iifname vxl0 counter accept comment \"flock:c1/vx1\"`,
		"elsewhere": `nft insert rule ip filter FORWARD iifname vxl0 counter accept comment \"flock:c1/vx1\"`,
	}
	for name, damage := range damages {
		h.Sh(damage)
		if d := differs(h, want); !strings.Contains(d, "+ forward vxl0 network vx1\n") || strings.Contains(d, "vxl1") {
			t.Errorf("%s: seen as %q", name, d)
		}
		put(h, want)
		if have := sortedLines(h.Ruleset()); have != clean {
			t.Errorf("%s: healed to\n%s\nwant\n%s", name, have, clean)
		}
	}
	put(h, &spec.Host{Cluster: "c1"})
	if d := differs(h, other); d != "" {
		t.Errorf("another cluster's accepts: %s", d)
	}
}

// TestForwardPassesLegacyIptables needs the program iptables-legacy (Debian:
// iptables).
func TestForwardPassesLegacyIptables(t *testing.T) {
	for by, forwards := range forwardsBy() {
		t.Run(by, func(t *testing.T) { passesLegacy(t, forwards) })
	}
}

func passesLegacy(t *testing.T, forwards []spec.Forward) {
	o := writtenOverlay(t, pooled)
	s, c, want := o.servers[0], o.containers[0], forwarding(forwards)
	if out, err := s.Try("command -v iptables-legacy ip6tables-legacy"); err != nil {
		t.Fatalf("iptables-legacy is missing (apt-get install iptables): %s", out)
	}
	targets := []string{"10.99.0.254", "10.0.4.3", "fd99::254", "fd00:4::a2"}
	for _, rules := range []string{ // each on top of those before
		"-P FORWARD DROP",
		"-N DOCKER-USER\n-A FORWARD -j DOCKER-USER",
		"-F FORWARD",
		"-P FORWARD ACCEPT\n-N LIBVIRT_FWI\n-A LIBVIRT_FWI -j REJECT\n-A FORWARD -j LIBVIRT_FWI",
	} {
		for _, program := range []string{"iptables-legacy", "ip6tables-legacy"} {
			for line := range strings.Lines(rules) {
				s.Sh(program + " -w 5 " + line)
			}
		}
		list := func() string { return s.Sh("iptables-legacy -S; ip6tables-legacy -S") }
		before := list()
		c.ReachesNot(targets...)
		// Its programs are in no PATH of a login that is not root's.
		withPath(t, "/usr/bin:/bin", func() {
			if d := differs(s, want); d != stepsFor("+", forwards) {
				t.Errorf("%s: seen as %q", rules, d)
			}
			put(s, want)
		})
		for _, ip := range targets {
			c.Reaches(ip)
		}
		match := "-i vxl0"
		if forwards[0].Subnet.IsValid() {
			match = "-s 10.0.4.0/24"
		}
		s.Sh("iptables-legacy -w 5 -I INPUT " + match + " -m comment --comment flock:c1/vx1 -j ACCEPT")
		if d := differs(s, want); d != stepsFor("+", forwards[:1]) {
			t.Errorf("%s: an accept in excess is seen as %q", rules, d)
		}
		s.Do(func() {
			left, err := newFilters(want.Cluster).Remains()
			if err != nil || len(left) == 0 {
				t.Errorf("%s: what remains is %q, %v", rules, left, err)
			}
		})
		without := forwarding(nil)
		put(s, without)
		if after := list(); after != before {
			t.Errorf("%s: after removal:\n%s\nwant:\n%s", rules, after, before)
		}
	}
}

func withPath(t *testing.T, path string, do func()) {
	t.Helper()
	whole := os.Getenv("PATH")
	t.Setenv("PATH", path)
	do()
	t.Setenv("PATH", whole)
}

// sortedLines compares listings whatever the order of accepts for different links.
func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
