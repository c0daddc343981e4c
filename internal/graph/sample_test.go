package graph

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// sample is a cluster that servers confirmed, and what traffic last showed.
type sample struct {
	c        *state.Cluster
	verdicts map[string]state.Verdict
}

func newSample(name string, servers int) *sample {
	s := &sample{c: &state.Cluster{Schema: state.Schema, Name: name, ID: "0123456789abcdef", Servers: map[string]*state.Server{}, Networks: map[string]*state.Network{}}, verdicts: map[string]state.Verdict{}}
	for i := range servers {
		s.c.Servers[fmt.Sprint("s", i+1)] = &state.Server{Address: fmt.Sprintf("10.99.%d.%d", i/250, i%250+1), User: "root"}
	}
	return s
}

// members are servers first to last, every step-th.
func members(first, last, step int) (out []string) {
	for i := first; i <= last; i += step {
		out = append(out, fmt.Sprint("s", i))
	}
	return out
}

func (s *sample) add(name string, n *state.Network, verdict string) {
	s.c.Networks[name] = n
	says := map[string]string{"passes": "all paths pass", "lost": "8 of 12 paths pass, 4 without an answer", "lossy": "2 of 12 paths lose packets"}[verdict]
	if verdict != "" {
		s.verdicts[name] = state.Verdict{State: verdict, Says: says, Time: time.Date(2026, 11, 29, 9, 30, 0, 0, time.UTC)}
	}
}

// model confirms everything but what pending servers hold, and draws it.
func (s *sample) model(t testing.TB, pending ...string) *Model {
	t.Helper()
	for _, name := range s.c.ServerNames() {
		w := s.c.Servers[name]
		if addr, err := netip.ParseAddr(w.Address); err == nil {
			w.Facts = &state.Facts{
				HostKey: "SHA256:" + name, Arch: "amd64", Init: "systemd", Default4: "eth0", WireGuard: "kernel",
				Interfaces: []state.Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 16)}}},
			}
		}
	}
	compiled, err := edit.Do(s.c, func(*state.Cluster) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range compiled.Hosts {
		s.c.Servers[name].Confirmed = &state.Confirmed{Generation: 1, Sum: h.Sum(), Time: time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)}
	}
	for _, name := range pending {
		s.c.Servers[name].Confirmed = nil
	}
	behind := change.Pending(s.c, compiled)
	views := view.Networks(s.c, compiled, behind)
	for _, v := range views {
		if verdict, known := s.verdicts[v.Name]; known {
			v.Verified = &verdict
		}
	}
	return Build(s.c, views, view.Servers(s.c, behind), true)
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// two is the smallest cluster that there is a picture of.
func two() *sample {
	s := newSample("two", 2)
	s.add("vx1", &state.Network{Type: "vxlan", Members: members(1, 2, 1)}, "passes")
	s.c.Servers["s1"].Attached = []state.Attachment{{Container: "lxc/web", Interface: "eth1", Bridge: "vxl0", Addrs: []netip.Addr{netip.MustParseAddr("10.0.4.200")}}}
	return s
}

// ten has something of everything.
func ten() *sample {
	s := newSample("ten", 10)
	s.add("apps", &state.Network{Type: "vxlan", Members: members(1, 6, 1)}, "passes")
	s.add("secure", &state.Network{Type: "wireguard", Members: members(1, 10, 3), Topology: "hub"}, "lost")
	s.add("pods", &state.Network{Type: "vxlan-l3", Members: members(4, 10, 1)}, "lossy")
	s.add("over", &state.Network{Type: "vxlan", Subnets: prefixes("10.0.40.0/24"), Members: []string{"s7:10.0.6.1", "s8:10.0.6.2"}}, "")
	s.add("gre-s7-s8", &state.Network{Type: "gre", Subnets: prefixes("10.0.6.0/30"), Members: []string{"s7", "s8"}}, "passes")
	for i := range 3 {
		s.c.Servers[fmt.Sprint("s", i+1)].Subnet = netip.MustParsePrefix(fmt.Sprintf("10.0.%d.1/24", 10+i))
	}
	s.add("bnet", &state.Network{
		Type: "bgp", Members: members(1, 3, 1), Shares: []string{"s1:10.0.10.0/24", "s2:10.0.11.0/24", "s3:10.0.12.0/24"},
		Externals: []state.External{
			{Server: "s1", Address: netip.MustParseAddr("10.99.0.254"), AS: 65001, Accept: []string{"10.128.0.0/9 le 24"}},
			{Server: "s2", Address: netip.MustParseAddr("10.99.0.254"), AS: 65001, BFD: 300},
		},
	}, "passes")
	s.c.Servers["s1"].Attached = []state.Attachment{
		{Container: "lxc/web", Interface: "eth1", Bridge: "vxl0", Addrs: []netip.Addr{netip.MustParseAddr("10.0.4.200")}},
		{Container: "docker/database", Interface: "eth1", Bridge: "app0"},
	}
	return s
}

// fifty has overlapping networks, and a hub with tunnels to branches.
func fifty() *sample {
	s := newSample("fifty", 50)
	s.add("all", &state.Network{Type: "wireguard", Members: members(1, 50, 1)}, "passes")
	s.add("web", &state.Network{Type: "vxlan", Members: members(1, 20, 1)}, "passes")
	s.add("db", &state.Network{Type: "vxlan", Members: members(15, 30, 1)}, "lost")
	s.add("odd", &state.Network{Type: "vxlan", Members: members(1, 49, 2)}, "")
	for i := 31; i <= 42; i++ {
		s.add(fmt.Sprint("branch-", i), &state.Network{Type: "gre", Subnets: prefixes(fmt.Sprintf("10.1.%d.0/30", i)), Members: []string{"s1", fmt.Sprint("s", i)}}, map[bool]string{true: "passes"}[i%2 == 0])
	}
	return s
}

func twoHundred() *sample {
	s := newSample("two-hundred", 200)
	s.add("mesh", &state.Network{Type: "wireguard", Subnets: prefixes("10.8.0.0/22"), Members: members(1, 200, 1)}, "passes")
	s.add("pods", &state.Network{Type: "vxlan-l3", Members: members(1, 200, 1)}, "lossy")
	for i := range 8 {
		s.add(fmt.Sprint("team", i+1), &state.Network{Type: "vxlan", Members: members(1+i*24, 30+i*24, 1)}, []string{"passes", "lost", ""}[i%3])
	}
	return s
}

// TestDraw writes pictures of all samples to $FLOCK_PICTURES, for people to look at.
func TestDraw(t *testing.T) {
	dir := os.Getenv("FLOCK_PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, s := range []*sample{two(), ten(), fifty(), twoHundred()} {
		m := s.model(t, "s2")
		for ext, text := range map[string]string{"svg": m.SVG(), "dot": m.Dot(), "mmd": m.Mermaid(), "html": m.HTML()} {
			if err := os.WriteFile(filepath.Join(dir, s.c.Name+"."+ext), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
