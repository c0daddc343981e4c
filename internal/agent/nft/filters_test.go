//go:build linux

package nft

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

// newBed is a namespace with the rules of server 1 of an overlay in it.
func newBed(t *testing.T) (*host, *spec.Host) {
	t.Helper()
	h, want := newHost(t), overlayHost(0)
	want.Gateways[0].FilterDHCP = true
	put(h, want)
	return h, want
}

// handles lists the rules of a table of cluster c1: "chain handle".
func (h *host) handles(family string) []string {
	h.t.Helper()
	var out []string
	chain := ""
	for line := range strings.Lines(h.Sh("nft -a list table " + family + " flock-c1")) {
		words := strings.Fields(line)
		at := slices.Index(words, "handle")
		switch {
		case len(words) == 0 || words[0] == "table" || words[0] == "set" || words[0] == "type" || at < 0:
		case words[0] == "chain":
			chain = words[1]
		default:
			out = append(out, chain+" handle "+words[at+1])
		}
	}
	return out
}

func TestEveryRuleIsMissedAndHealed(t *testing.T) {
	h, want := newBed(t)
	missedAndHealed(t, h, want, map[string]int{"bridge": 8, "inet": 3})
}

// missedAndHealed takes each rule away, and damages it, and asks for it anew. Least is how many
// there are.
func missedAndHealed(t *testing.T, h *host, want *spec.Host, least map[string]int) {
	t.Helper()
	clean := sortedLines(h.Ruleset())
	for family, least := range least {
		count := len(h.handles(family))
		if count < least {
			t.Fatalf("%d rules in table %s", count, family)
		}
		for i := range count {
			for _, damage := range []string{"delete rule %s flock-c1 %s", "replace rule %s flock-c1 %s counter"} {
				h.Sh("nft " + fmt.Sprintf(damage, family, h.handles(family)[i]))
				if differs(h, want) == "" {
					t.Errorf("rule %d of %s: %s: not seen", i, family, damage)
				}
				put(h, want)
				if have := sortedLines(h.Ruleset()); have != clean {
					t.Fatalf("rule %d of %s: healed to\n%s\nwant\n%s", i, family, have, clean)
				}
			}
		}
	}
}

func TestDamageCostsOnlyItsObject(t *testing.T) {
	h, want := newBed(t)
	for damage, seen := range map[string]string{
		`bridge flock-c1 prerouting`: "+ gateway",
		`inet flock-c1 postrouting`:  "+ masquerade 10.0.4.0/24",
		`inet flock-c1 input`:        "- guard vpx",
	} {
		words := strings.Fields(damage)
		first := h.handles(words[0])[slices.IndexFunc(h.handles(words[0]), func(r string) bool { return strings.HasPrefix(r, words[2]) })]
		h.Sh("nft delete rule " + words[0] + " " + words[1] + " " + first)
		d := differs(h, want)
		if !strings.HasPrefix(d, seen) || strings.Count(d, "\n") != 1 {
			t.Errorf("%s: seen as %q", damage, d)
		}
		put(h, want)
	}
}

func TestForeignThingsInOurTablesAreSeen(t *testing.T) {
	h, want := newBed(t)
	clean := sortedLines(h.Ruleset())
	for _, family := range []string{"bridge", "inet"} {
		for _, damage := range []string{
			`nft insert rule %s flock-c1 postrouting drop`,
			`nft insert rule %s flock-c1 postrouting drop comment \"gateway\"`,
			`nft add chain %s flock-c1 mine`,
			`nft "add chain %s flock-c1 mine { type filter hook forward priority 0; }"`,
			`nft "add chain %s flock-c1 postrouting { policy drop; }"`,
			`nft "add table %s flock-c1 { flags dormant; }"`,
			`nft "add set %s flock-c1 mine { type ipv4_addr; }"`,
			`nft flush table %s flock-c1`,
			`nft delete table %s flock-c1`,
		} {
			h.Sh(strings.ReplaceAll(damage, "%s", family))
			if differs(h, want) == "" {
				t.Errorf("%s %s: not seen", family, damage)
			}
			put(h, want)
			if have := sortedLines(h.Ruleset()); have != clean {
				t.Fatalf("%s %s: healed to\n%s", family, damage, have)
			}
		}
	}
}

func TestEveryAttributeCounts(t *testing.T) {
	h, want := newBed(t)
	for name, change := range map[string]func(*spec.Host){
		"bridge MAC":    func(w *spec.Host) { w.Links[0].MAC = bridgeMAC2 },
		"gateway MAC":   func(w *spec.Host) { w.Gateways[0].MAC = "6a:0f:01:02:00:01" },
		"uplink":        func(w *spec.Host) { w.Gateways[0].Uplink = "vxl1-vx" },
		"router MACs":   func(w *spec.Host) { w.Gateways[0].RouterMACs = "6a:0b:01:03:00:00" },
		"router mask":   func(w *spec.Host) { w.Gateways[0].RouterMask = "ff:ff:ff:00:00:00" },
		"subnets":       func(w *spec.Host) { w.Gateways[0].Subnets = w.Gateways[0].Subnets[:1] },
		"addresses":     func(w *spec.Host) { w.Gateways[0].Addrs = w.Gateways[0].Addrs[1:] },
		"DHCP filter":   func(w *spec.Host) { w.Gateways[0].FilterDHCP = false },
		"NAT bridge":    func(w *spec.Host) { w.NATs[0].Bridge = "vxl1" },
		"NAT subnet":    func(w *spec.Host) { w.NATs[0].Subnet = netip.MustParsePrefix("10.0.5.0/24") },
		"NAT exception": func(w *spec.Host) { w.NATs[0].Except = w.NATs[0].Except[1:] },
		"NAT gone":      func(w *spec.Host) { w.NATs = w.NATs[:1] },
		"VNI in a mesh": func(w *spec.Host) { w.Links[2].Tunnel.VNI++ },
		"mesh moved":    func(w *spec.Host) { w.Addrs = nil },
		"all gone":      func(w *spec.Host) { *w = spec.Host{Cluster: w.Cluster} },
		"no NAT":        func(w *spec.Host) { w.NATs, w.Addrs = nil, nil },
		"guard alone":   func(w *spec.Host) { w.NATs, w.Gateways = nil, nil },
		"no gateway":    func(w *spec.Host) { w.Gateways = nil },
	} {
		changed := overlayHost(0)
		changed.Gateways[0].FilterDHCP = true
		change(changed)
		if differs(h, changed) == "" {
			t.Errorf("%s: not seen", name)
		}
		put(h, changed)
		put(h, want)
	}
}

func TestGuardAloneIsMissedAndHealed(t *testing.T) {
	h, want := newBed(t)
	want.NATs, want.Gateways = nil, nil
	put(h, want)
	h.Sh("nft flush chain inet flock-c1 input")
	if differs(h, want) == "" {
		t.Error("an open mesh is not seen")
	}
	put(h, want)
}

func TestNothingRemains(t *testing.T) {
	h := newHost(t)
	h.Sh(dockerRules + "\nnft add table inet flock-c10; nft add table ip flock-c1")
	before, empty := h.Ruleset(), &spec.Host{Cluster: "c1"}
	put(h, overlayHost(0))
	if have := leftover(h); have != 8 { // two tables, three accepts in each of two
		t.Errorf("left: %d objects, want 8", have)
	}
	put(h, empty)
	if have := h.Ruleset(); have != before || leftover(h) != 0 {
		t.Errorf("left %d objects:\n%s\nwant:\n%s", leftover(h), have, before)
	}
	// Tables that tell nothing of what they are for.
	for _, family := range []string{"inet", "bridge"} {
		h.Sh("nft add table " + family + " flock-c1")
		if differs(h, empty) == "" {
			t.Errorf("an empty table %s is not seen", family)
		}
		put(h, empty)
	}
}

func leftover(h *host) int {
	h.t.Helper()
	var names []string
	var err error
	h.Do(func() { names, err = newFilters("c1").Remains() })
	if err != nil {
		h.t.Error(err)
	}
	return len(names)
}

func TestCheckTouchesNothing(t *testing.T) {
	h := newHost(t)
	before := h.Ruleset()
	h.Do(func() {
		if err := newFilters("c1").Check(overlayHost(0)); err != nil {
			t.Errorf("check: %v", err)
		}
	})
	if have := h.Ruleset(); have != before {
		t.Errorf("check left %s", have)
	}
}

func TestTrialTouchesNobodysTable(t *testing.T) {
	h, want := newBed(t)
	h.Sh("nft add table inet flock-c1-trial; nft add table bridge flock-c1-trial")
	h.Do(func() {
		n := newFilters("c1")
		if err := errors.Join(n.Check(want), n.Close()); err != nil {
			t.Error(err)
		}
	})
	h.Sh("nft list table inet flock-c1-trial; nft list table bridge flock-c1-trial")
	if rules := h.Ruleset(); strings.Contains(rules, ":trial") {
		t.Errorf("have %s", rules)
	}
}

func TestManyNetworksInOneTransaction(t *testing.T) {
	h := newHost(t)
	want := manyNetworks(300)
	start := time.Now()
	put(h, want)
	t.Logf("300 networks written and read in %v", time.Since(start))
}

// manyNetworks is a server with n networks, some 20 rules each.
func manyNetworks(n int) *spec.Host {
	want := overlayHost(0)
	one := *want
	for i := range n - 1 {
		name, bridge := fmt.Sprint("vx", i+2), fmt.Sprint("vxl", i+1)
		g, nat := one.Gateways[0], one.NATs[0]
		g.Network, g.Bridge, g.Uplink = name, bridge, bridge+"-vx"
		g.MAC = fmt.Sprintf("6a:0f:02:00:%02x:%02x", i>>8, i&0xff)
		nat.Network, nat.Bridge = name, bridge
		nat.Subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		want.Links = append(want.Links, spec.Link{Name: bridge, Network: name, Kind: spec.Bridge, MAC: bridgeMAC1})
		want.Gateways, want.NATs = append(want.Gateways, g), append(want.NATs, nat)
	}
	return want
}

// BenchmarkNFTObserve is what an apply that changes nothing pays.
func BenchmarkNFTObserve(b *testing.B) {
	for _, networks := range []int{1, 50} {
		b.Run(fmt.Sprint(networks), func(b *testing.B) {
			h, want := newHost(b), manyNetworks(networks)
			put(h, want)
			h.Do(func() {
				for b.Loop() {
					if err := newFilters("c1").Observe(want, &spec.Host{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkNFTReplace is what a change of one network pays.
func BenchmarkNFTReplace(b *testing.B) {
	h, want := newHost(b), overlayHost(0)
	empty := &spec.Host{Cluster: want.Cluster}
	h.Do(func() {
		n := newFilters(want.Cluster)
		for b.Loop() {
			if err := errors.Join(n.Replace(want), n.Replace(empty)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkNFTCheck is what a plan pays for knowing that the kernel takes the rules.
func BenchmarkNFTCheck(b *testing.B) {
	h, want := newHost(b), overlayHost(0)
	h.Do(func() {
		for b.Loop() {
			if err := newFilters(want.Cluster).Check(want); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// There are chains for what has rules; another one that is needed costs nobody his.
func TestChainsComeAndGoAlone(t *testing.T) {
	h := newHost(t)
	keeps, both := &spec.Host{Cluster: "c1"}, &spec.Host{Cluster: "c1"}
	keeps.Keeps = []spec.PreserveSource{{Network: "b", Link: "wg0", Subnet: netip.MustParsePrefix("10.0.4.0/24")}}
	both.Keeps = keeps.Keeps
	both.NATs = []spec.NAT{{Network: "a", Bridge: "app0", Subnet: netip.MustParsePrefix("10.0.5.0/24")}}
	chains := func() string { return h.Sh("nft list chains | sed -n 's/^.chain \\(.*\\) {/\\1/p' | sort | xargs") }
	for _, c := range []struct {
		want         *spec.Host
		seen, chains string
	}{
		{keeps, "+ keep 10.0.4.0/24 dev wg0 network b\n", "keep\n"},
		{both, "+ masquerade 10.0.5.0/24 bridge app0 network a\n", "keep postrouting\n"},
		{keeps, "- masquerade 10.0.5.0/24 bridge app0 network a\n", "keep\n"},
	} {
		if d := differs(h, c.want); d != c.seen {
			t.Errorf("want %q, have %q", c.seen, d)
		}
		put(h, c.want)
		if have := chains(); have != c.chains {
			t.Errorf("chains: want %q, have %q", c.chains, have)
		}
	}
}
