//go:build linux

package explain

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/nft"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
)

// TestRulesAreTheAgents: nft lists the same rules after the script as after the agent, for
// each network of every golden.
func TestRulesAreTheAgents(t *testing.T) {
	lab.Need(t, "nft")
	agents, scripts, seen := netspace.New(t), netspace.New(t), map[string]bool{}
	for _, p := range parts(t) {
		own := belonging(p.full, p.asked, p.network)
		key := filtersText(own)
		if key == "" || seen[key] {
			continue // servers are alike
		}
		seen[key] = true
		own.Forwards = nil // are for chains of others, of which there are none
		own.Links, own.Addrs = p.full.Links, p.full.Addrs
		var err error
		agents.Do(func() {
			f := nft.New(nft.Server{Cluster: own.Cluster, ProcNet: "/proc/thread-self/net"})
			err = f.Replace(narrow(own, p.network))
			_ = f.Close()
		})
		if err != nil {
			t.Fatalf("%s: %v", p.golden, err)
		}
		s, err := Of(p.full, p.asked, p.others, p.network)
		if err != nil {
			t.Fatal(err)
		}
		want := agents.Ruleset()
		scripts.Sh(onlyRules(s.Build))
		if have := scripts.Ruleset(); known(want) != known(have) {
			t.Errorf("%s: %s on %s: the agent's rules\n%s\nthe script's\n%s", p.golden, p.network, p.server, want, have)
		}
		agents.Sh("nft flush ruleset")
		scripts.Sh(onlyRules(s.Undo))
		if have := scripts.Ruleset(); len(p.full.Guards)+len(p.full.NATs)+len(p.full.Keeps)+len(p.full.Doors) == len(own.Guards)+len(own.NATs)+len(own.Keeps)+len(own.Doors) && strings.TrimSpace(have) != "" {
			t.Errorf("%s: %s on %s: what undoes it leaves\n%s", p.golden, p.network, p.server, have)
		} else if strings.Contains(have, " "+p.network+" ") {
			t.Errorf("%s: %s on %s: what undoes it leaves its rules\n%s", p.golden, p.network, p.server, have)
		}
		scripts.Sh("nft flush ruleset")
	}
	if len(seen) < 20 {
		t.Errorf("%d sets of rules are too few", len(seen))
	}
}

func filtersText(h *spec.Host) string {
	f := spec.Host{Gateways: h.Gateways, Guards: h.Guards, Doors: h.Doors, NATs: h.NATs, Keeps: h.Keeps}
	return f.Text()
}

// narrow is h with the links of network alone, and all addresses: a VXLAN in a mesh is told
// by them.
func narrow(h *spec.Host, network string) *spec.Host {
	out := *h
	out.Links = of(h.Links, func(l spec.Link) bool { return l.Network == network || l.Kind == spec.WireGuard })
	return &out
}

// onlyRules are the commands about rules.
func onlyRules(list []Step) string {
	var out []string
	for _, s := range list {
		for _, c := range s.Commands {
			if strings.Contains(strings.Join(s.Commands, "\n"), "nft") {
				out = append(out, c)
			}
		}
	}
	return strings.Join(out, "\n")
}

// known is a rule set without what no word of nft's makes, and sets that only such rules
// look into: see aboutRules.
func known(ruleset string) string {
	var rules []string
	for line := range strings.Lines(ruleset) {
		if strings.Contains(line, "@th,208,48") || strings.Contains(line, "@th,64,128 @") || strings.Contains(line, "@th,64,128 {") ||
			strings.Contains(line, "@th,64,128 0x") && strings.Contains(line, `comment "ports `) {
			continue
		}
		rules = append(rules, line)
	}
	all, out, skip := strings.Join(rules, ""), "", false
	for _, line := range rules {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "set "); is {
			skip = !strings.Contains(all, "@"+strings.TrimSuffix(name, " {"))
		}
		if !skip {
			out += line
		}
		skip = skip && strings.TrimSpace(line) != "}"
	}
	return strings.ReplaceAll(out, "\n\n", "\n")
}
