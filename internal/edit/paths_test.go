package edit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// pathsOf are the paths of a network of a kind with n members, completed, and dealt
// out, as text.
func pathsOf(t *testing.T, n int, make func(*state.Cluster) error) []network.Path {
	t.Helper()
	c := cluster(t, n)
	if err := make(c); err != nil {
		t.Fatal(err)
	}
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("s%d", i+1))
	}
	if err := done(c, Join(c, "n", members)); err != nil {
		t.Fatal(err)
	}
	return network.Paths(c, compileOK(t, c), "n")
}

// Every pair is there once in networks of up to 33 members; in larger ones everybody
// has the same number of pairs.
func TestPathsAreEveryPairOnce(t *testing.T) {
	for _, kind := range []string{network.VXLAN, network.VXLANL3, network.UDP, network.IPIP} {
		for _, n := range []int{1, 2, 3, 4, 7, 33, 60} {
			t.Run(fmt.Sprint(kind, n), func(t *testing.T) {
				pairs, each, below := map[string]int{}, map[string]int{}, map[string]netip.Addr{}
				for _, p := range pathsOf(t, n, func(c *state.Cluster) error { return done(c, Create(c, "n", kind, option.Options{})) }) {
					if p.From == p.To || p.Probe.To != p.Back.From || p.Probe.From != p.Back.To || !p.Probe.To.IsValid() {
						t.Errorf("path %+v", p)
					}
					for server, at := range map[string]netip.Addr{p.To: p.Probe.Below, p.From: p.Back.Below} {
						if below[server] = cmp.Or(below[server], at); !at.IsValid() || at != below[server] || at == p.Probe.To || at == p.Back.To {
							t.Errorf("%s is at %s below the network, and at %s", server, at, below[server])
						}
					}
					pairs[min(p.From, p.To)+" "+max(p.From, p.To)]++
					each[p.From]++
					each[p.To]++
				}
				want := n * (n - 1) / 2
				if n > 2*16+1 {
					want = n * 16
				}
				if len(pairs) != want || slices.ContainsFunc(values(pairs), func(k int) bool { return k != 1 }) {
					t.Errorf("want %d pairs once, have %d: %v", want, len(pairs), pairs)
				}
				if least, most := slices.Min(append(values(each), 2*16)), slices.Max(append(values(each), 0)); n > 2*16+1 && least != most {
					t.Errorf("pairs of a member: from %d to %d", least, most)
				}
			})
		}
	}
}

func values[K comparable](m map[K]int) []int {
	var out []int
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// What is tried is what the kind has: ARP where a device has a MAC address, an echo
// otherwise, nothing where packets travel as they are.
func TestPathsByKind(t *testing.T) {
	for kind, want := range map[string]string{
		network.VXLAN:   "UDP 4789: vxl0 10.0.4.254 to 10.0.4.253 by MAC",
		network.VXLANL3: "UDP 8472: n-vx 10.244.0.0 to 10.244.1.0 by MAC",
		network.UDP:     "UDP 8285: n-udp 10.244.0.0 to 10.244.1.0",
		network.IPIP:    "IP protocol 4: n-ip 10.244.0.0 to 10.244.1.0",
		network.HostGW:  "",
		network.Alloc:   "",
	} {
		have := ""
		for _, p := range pathsOf(t, 2, func(c *state.Cluster) error { return done(c, Create(c, "n", kind, option.Options{})) }) {
			have += fmt.Sprintf("%s: %s %s to %s", p.Over, p.Probe.Link, p.Probe.From, p.Probe.To)
			if p.Probe.MAC != "" {
				have += " by MAC"
			}
		}
		if have != want {
			t.Errorf("%s: want %q, have %q", kind, want, have)
		}
	}
}

// In a mesh the one that knows where the other is begins.
func TestPathsOfAMesh(t *testing.T) {
	ar, err := txtar.ParseFile("../network/testdata/wireguard/nat.txtar")
	if err != nil {
		t.Fatal(err)
	}
	c, err := state.Parse(ar.Files[0].Data, "cluster.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := network.Complete(c); err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, p := range network.Paths(c, compileOK(t, c), "wirex") {
		have = append(have, p.From+" "+p.To+" "+p.Over)
		if p.Probe.Key != c.Networks["wirex"].Allocated[p.To].Key || p.Probe.To != c.Networks["wirex"].Allocated[p.To].Addrs[0] || !strings.HasPrefix(p.Over, "UDP "+p.Probe.Below.String()+":") {
			t.Errorf("path %+v", p)
		}
	}
	if len(have) == 0 || slices.ContainsFunc(have, func(s string) bool { return c.Servers[strings.Fields(s)[1]].NAT }) {
		t.Errorf("have %v", have)
	}
}
