package network

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// said is one thing that a file can say of a network.
type said struct {
	key string
	say func(*state.Network)
}

// everySaid is everything that a file can say of a network besides its type and its
// members.
func everySaid() []said {
	return []said{
		{"subnet", func(n *state.Network) { n.Subnets = prefixes("10.77.0.0/16") }},
		{"interface", func(n *state.Network) { n.Interface = "eth0" }},
		{"bridge", func(n *state.Network) { n.Bridge = "br7" }},
		{"vni", func(n *state.Network) { n.VNI = 7 }},
		{"port", func(n *state.Network) { n.Port = 7777 }},
		{"domain", func(n *state.Network) { n.Domain = "lab" }},
		{"group", func(n *state.Network) { n.Group = netip.MustParseAddr("239.0.0.42") }},
		{"dhcp single", func(n *state.Network) { n.DHCP = state.DHCPSingle }},
		{"dhcp off", func(n *state.Network) { n.DHCP = state.DHCPOff }},
		{"dhcp-server", func(n *state.Network) { n.DHCPServer = "s1" }},
		{"mtu", func(n *state.Network) { n.MTU = 1280 }},
		{"gbp", func(n *state.Network) { n.GBP = true }},
		{"no-masquerade", func(n *state.Network) { n.NoMasq = true }},
		{"isolate", func(n *state.Network) { n.Isolate = true }},
		{"subnet-len", func(n *state.Network) { n.SubnetLens = []int{24} }},
		{"direct-routing", func(n *state.Network) { n.Direct = true }},
		{"topology", func(n *state.Network) { n.Topology = state.Hub }},
		{"keepalive", func(n *state.Network) { n.Keepalive = 10 }},
		{"mesh", func(n *state.Network) { n.Mesh = netip.MustParsePrefix("10.78.0.0/24") }},
		{"lead", func(n *state.Network) { n.Lead = "s1" }},
		{"shares", func(n *state.Network) { n.Shares = []string{"s1:10.0.10.0/24"} }},
		{"tunnel", func(n *state.Network) { n.Tunnel = true }},
		{"key", func(n *state.Network) { n.Key = 7 }},
		{"ttl", func(n *state.Network) { n.TTL = 7 }},
		{"as", func(n *state.Network) { n.AS = 64600 }},
		{"mode", func(n *state.Network) { n.Mode = state.Mesh }},
		{"hold", func(n *state.Network) { n.Hold = 30 }},
		{"reflectors", func(n *state.Network) { n.Reflectors = []string{"s1"} }},
		{"before", func(n *state.Network) { n.Before = &state.Sessions{Mode: state.Mesh} }},
		{"external", func(n *state.Network) {
			n.Externals = []state.External{{Server: "s1", Address: netip.MustParseAddr("192.168.7.254"), AS: 65001}}
		}},
	}
}

// refusal is what Complete says of a network of a type with two members.
func refusal(t *testing.T, kind string, say ...said) string {
	t.Helper()
	n := &state.Network{Type: kind, Members: []string{"s1", "s2"}}
	c := cluster(t, 3)
	c.Networks = map[string]*state.Network{"n": n}
	for _, s := range say {
		s.say(n)
	}
	err := Complete(c)
	if err != nil {
		where, next := hint.Of(err)
		return fmt.Sprintf("%q\n  where %q\n  next %q", err, where, next)
	}
	return "taken"
}

// Every key is taken or refused by every type as it was, in the same words.
func TestRefused(t *testing.T) {
	var out strings.Builder
	for _, kind := range kindNames() {
		for _, s := range everySaid() {
			fmt.Fprintf(&out, "%s %s: %s\n", kind, s.key, refusal(t, kind, s))
		}
	}
	const file = "testdata/refused/refused.txt"
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Errorf("want (-), got (+); rewrite with -update:\n%s", d)
	}
}
