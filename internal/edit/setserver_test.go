package edit

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// everywhere is a cluster that names s2 in every place that takes a server's name.
func everywhere(t *testing.T) *state.Cluster {
	t.Helper()
	c := cluster(t, 4)
	c.Servers["s2"].Subnet = netip.MustParsePrefix("10.0.11.1/24")
	for _, err := range []error{
		done(c, Create(c, "vx1", network.VXLAN, option.Options{"dhcp-server": "s2"})), done(c, Join(c, "vx1", []string{"s1", "s2:eth0", "s3"})),
		done(c, Create(c, "wg1", network.WireGuard, nil)), done(c, JoinLead(c, "wg1", "s2:172.16.0.2")), done(c, JoinClients(c, "wg1", []string{"s1", "s3"})),
		done(c, Create(c, "p1", network.HostGW, option.Options{"bridge": "p0"})), done(c, Join(c, "p1", []string{"s1", "s2"})),
		done(c, AddTunnel(c, network.GRE, "s1", "s2:172.16.0.2", TunnelOptions{})),
		done(c, CreateBGP(c, "b1", "s1", BGPOptions{})), done(c, JoinBGP(c, "b1", []string{"s2:172.16.0.2", "s3"})), done(c, AddReflectors(c, "b1", []string{"s2"})),
		done(c, CreateBGP(c, "b2", "s4", BGPOptions{AS: 64513})),
		done(c, Attach(c, "s2", state.Attachment{Container: "netns/c1", Interface: "eth1", Bridge: "vxl0"}, false)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Networks["wg1"].Shares, c.Networks["wg1"].Forced = []string{"s2:10.0.11.0/24"}, []string{"s2:10.0.11.0/24"}
	b1 := c.Networks["b1"]
	b1.Before = &state.Sessions{Mode: state.Reflector, Reflectors: []string{"s2"}}
	b1.Externals = []state.External{{Server: "s2", Address: netip.MustParseAddr("172.16.0.99"), AS: 65001}}
	c.Networks["b2"].Externals = []state.External{{Server: "s4", Address: netip.MustParseAddr("172.16.0.2"), AS: 64512}}
	return c
}

// A server with another name is named by it everywhere, and by nothing else; what the
// kernels of all servers get is the same but for the name.
func TestRenameServerEverywhere(t *testing.T) {
	c := everywhere(t)
	before, err := Do(c, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Do(c, func(c *state.Cluster) error { return RenameServer(c, "s2", "aa") })
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.ReplaceAll(strings.ReplaceAll(string(text), "born = 's2'", ""), "gre-s1-s2", "")
	if at := regexp.MustCompile(`\bs2\b.*`).FindString(rest); at != "" {
		t.Errorf("still named: %s", at)
	}
	name := regexp.MustCompile(`\b(s2|aa)\b`)
	same := func(text string) []string {
		lines := strings.Split(name.ReplaceAllString(strings.ReplaceAll(text, "gre-s1-s2", "gre"), "X"), "\n")
		slices.Sort(lines)
		return lines
	}
	for was, now := range map[string]string{"s1": "s1", "s2": "aa", "s3": "s3", "s4": "s4"} {
		if diff := cmp.Diff(same(before.Hosts[was].Text()), same(after.Hosts[now].Text())); diff != "" {
			t.Errorf("%s is another one as %s:\n%s", was, now, diff)
		}
	}

	// A server that gets the free name has MAC addresses of its own, and back it is as it was.
	if err := done(c, AddServer(c, "s2", state.Server{Address: "172.16.0.77"})); err != nil {
		t.Fatal(err)
	}
	if c.Servers["s2"].Born == "" {
		t.Error("the new s2 has the MAC addresses of the old one")
	}
	delete(c.Servers, "s2")
	if err := done(c, RenameServer(c, "aa", "s2")); err != nil || c.Servers["s2"].Born != "" {
		t.Errorf("back: %v, born %q", err, c.Servers["s2"].Born)
	}
}

// A name that only ssh's configuration explained is still looked up there.
func TestRenameAlias(t *testing.T) {
	c := cluster(t, 1)
	c.Servers["s1"].Address = ""
	if err := RenameServer(c, "s1", "web1"); err != nil || c.Servers["web1"].Address != "s1" {
		t.Errorf("%v, address %q", err, c.Servers["web1"].Address)
	}
}

// A server's other address is followed by everything that names the old one.
func TestFollow(t *testing.T) {
	c := everywhere(t)
	s := c.Servers["s2"]
	s.Endpoint, c.Servers["s3"].Jump, c.Servers["s4"].Jump = "172.16.0.2:51820", "admin@172.16.0.2,root@172.16.0.1", "172.16.0.2:2222"
	was := *s
	if err := SetServer(c, "s2", ServerOptions{Given: state.Server{Address: "172.16.0.22"}, Keys: []string{"address"}}); err != nil {
		t.Fatal(err)
	}
	if s.Endpoint != "172.16.0.22:51820" || c.Servers["s3"].Jump != "admin@172.16.0.22,root@172.16.0.1" || c.Servers["s4"].Jump != "172.16.0.2:2222" {
		t.Errorf("endpoint %s, jumps %s and %s", s.Endpoint, c.Servers["s3"].Jump, c.Servers["s4"].Jump)
	}
	s.Facts = &state.Facts{Default4: "eth0", Interfaces: []state.Interface{{Name: "eth0", MTU: 1500, Addrs: prefixes("172.16.0.22/12")}}}
	_, err := Do(c, func(c *state.Cluster) error { Follow(c, "s2", &was); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := c.Marshal(); regexp.MustCompile(`172\.16\.0\.2\b[^:]`).Match(text) {
		t.Errorf("the old address is named still:\n%s", text)
	}
	if got := c.Networks["b2"].Externals[0].Address.String(); got != "172.16.0.22" {
		t.Errorf("the other network's neighbor is %s", got)
	}
}

// Which address took the place of which.
func TestMovedAddrs(t *testing.T) {
	server := func(address, iface string, eth0, eth1 []netip.Prefix) *state.Server {
		return &state.Server{Address: address, Interface: iface, Facts: &state.Facts{Interfaces: []state.Interface{{Name: "eth0", Addrs: eth0}, {Name: "eth1", Addrs: eth1}}}}
	}
	for name, c := range map[string]struct {
		was, now *state.Server
		want     string
	}{
		"the only one":              {server("h", "", prefixes("10.0.0.1/24"), nil), server("h", "", prefixes("10.0.0.2/24"), nil), "10.0.0.1=10.0.0.2"},
		"by family":                 {server("h", "", prefixes("10.0.0.1/24", "fd00::1/64"), nil), server("h", "", prefixes("10.0.0.1/24", "fd00::2/64"), nil), "fd00::1=fd00::2"},
		"one more is no change":     {server("h", "", prefixes("10.0.0.1/24"), nil), server("h", "", prefixes("10.0.0.1/24", "10.0.0.2/24"), nil), ""},
		"two, and nobody says":      {server("h", "", prefixes("10.0.0.1/24", "10.0.0.2/24"), nil), server("h", "", prefixes("10.0.0.3/24", "10.0.0.4/24"), nil), ""},
		"two, the address says":     {server("10.0.0.2", "", prefixes("10.0.0.1/24", "10.0.0.2/24"), nil), server("10.0.0.3", "", prefixes("10.0.0.3/24", "10.0.0.4/24"), nil), "10.0.0.1=10.0.0.4 10.0.0.2=10.0.0.3"},
		"another device":            {server("10.0.0.1", "", prefixes("10.0.0.1/24"), prefixes("10.1.0.1/24")), server("10.1.0.1", "", nil, prefixes("10.1.0.1/24")), "10.0.0.1=10.1.0.1"},
		"still there":               {server("10.0.0.1", "", prefixes("10.0.0.1/24"), prefixes("10.1.0.1/24")), server("10.1.0.1", "", prefixes("10.0.0.1/24"), prefixes("10.1.0.1/24")), ""},
		"--interface says":          {server("h", "10.0.0.1", prefixes("10.0.0.1/24", "10.0.0.2/24"), nil), server("h", "10.0.0.9", prefixes("10.0.0.8/24", "10.0.0.9/24"), nil), "10.0.0.1=10.0.0.9 10.0.0.2=10.0.0.8"},
		"moved to the other device": {server("h", "", prefixes("10.0.0.1/24"), nil), server("h", "", nil, prefixes("10.0.0.1/24")), ""},
	} {
		var got []string
		for from, to := range movedAddrs(c.was, c.now) {
			got = append(got, from.String()+"="+to.String())
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// Every property is set and unset, and nothing else with it.
func TestSetServerProperties(t *testing.T) {
	given := state.Server{Address: "10.9.9.9", User: "admin", Port: 2222, Identity: "/k", Jump: "bastion", Interface: "eth0", NAT: true, Endpoint: "h.example:1"}
	for _, p := range properties() {
		c := cluster(t, 1)
		s := c.Servers["s1"]
		was := *s
		if err := SetServer(c, "s1", ServerOptions{Given: given, Keys: []string{p.key}}); err != nil {
			t.Fatalf("%s: %v", p.key, err)
		}
		want := was
		p.copy(&want, &given)
		if diff := cmp.Diff(&want, s, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s is set:\n%s", p.key, diff)
		}
		if err := SetServer(c, "s1", ServerOptions{Unset: []string{p.key}}); err != nil {
			t.Fatalf("unset %s: %v", p.key, err)
		}
		want = was
		p.copy(&want, &state.Server{})
		if diff := cmp.Diff(&want, s, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s is unset:\n%s", p.key, diff)
		}
	}
}

// What others say of a server is not contradicted: the last word counts.
func TestSetServerContradictions(t *testing.T) {
	c := cluster(t, 2)
	set := func(given state.Server, keys ...string) error {
		return SetServer(c, "s1", ServerOptions{Given: given, Keys: keys})
	}
	if err := set(state.Server{Endpoint: "h.example"}, "endpoint"); err != nil {
		t.Fatal(err)
	}
	if err := set(state.Server{NAT: true}, "nat"); err != nil || c.Servers["s1"].Endpoint != "" {
		t.Errorf("--nat: %v, endpoint %q", err, c.Servers["s1"].Endpoint)
	}
	if err := set(state.Server{Endpoint: "h.example"}, "endpoint"); err != nil || c.Servers["s1"].NAT {
		t.Errorf("--endpoint: %v, NAT %v", err, c.Servers["s1"].NAT)
	}
	for name, o := range map[string]ServerOptions{
		"nothing":        {},
		"both":           {Given: state.Server{NAT: true, Endpoint: "h.example"}, Keys: []string{"nat", "endpoint"}},
		"set and unset":  {Given: state.Server{Port: 22}, Keys: []string{"port"}, Unset: []string{"port"}},
		"no property":    {Unset: []string{"mtu"}},
		"of another":     {Given: state.Server{Address: "172.16.0.2"}, Keys: []string{"address"}},
		"taken name":     {Rename: "s2"},
		"reserved name":  {Rename: "client"},
		"no name":        {Rename: "a/b"},
		"local's name":   {Rename: network.Local},
		"bad interface":  {Given: state.Server{Interface: "a b"}, Keys: []string{"interface"}},
		"bad endpoint":   {Given: state.Server{Endpoint: "a b"}, Keys: []string{"endpoint"}},
		"bad jump hosts": {Given: state.Server{Jump: "a,,b"}, Keys: []string{"jump"}},
	} {
		err := SetServer(c.Clone(), "s1", o)
		where, next := hint.Of(err)
		if err == nil || where == "" || next == "" {
			t.Errorf("%s: %v (where %q, next %q)", name, err, where, next)
		}
	}
	if err := SetServer(c, "s9", ServerOptions{Rename: "s8"}); err == nil {
		t.Error("a server that is not there was set")
	}
}

// A file, or an earlier generation, in which a server only has another name renames it.
func TestReplaceRenames(t *testing.T) {
	c := everywhere(t)
	old := c.Clone()
	if err := done(c, RenameServer(c, "s2", "aa")); err != nil {
		t.Fatal(err)
	}
	renamed := c.Clone()
	gone, err := Replace(c, old)
	if err != nil || len(gone) > 0 || c.Servers["aa"] != nil {
		t.Fatalf("%v, gone %v", err, gone)
	}
	if left := Leaving(renamed, c, gone); len(left) > 0 {
		t.Errorf("leaving: %v", left)
	}
	if diff := cmp.Diff(text(t, old), text(t, c)); diff != "" {
		t.Errorf("back it is another one:\n%s", diff)
	}
}

func text(t *testing.T, c *state.Cluster) string {
	t.Helper()
	data, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Another machine has what the dead one was dealt, but for its keys; the dead one is noted
// with how it was reached.
func TestReplaceServer(t *testing.T) {
	c := everywhere(t)
	wg := c.Networks["wg1"].Allocated["s2"]
	wg.Key = strings.Repeat("2", 43) + "="
	c.Servers["s2"].Facts.Machine = "dead"
	before := c.Clone()
	if err := done(c, SetServer(c, "s2", ServerOptions{Given: state.Server{Address: "172.16.0.99"}, Keys: []string{"address"}, Replace: true})); err != nil {
		t.Fatal(err)
	}
	if got := c.Networks["wg1"].Allocated["s2"]; got.Key != "" || got.ID != wg.ID || !slices.Equal(got.Addrs, wg.Addrs) {
		t.Errorf("dealt %+v, before %+v", got, wg)
	}
	for _, name := range []string{"vx1", "p1", "gre-s1-s2"} {
		if diff := cmp.Diff(before.Networks[name].Allocated["s2"], c.Networks[name].Allocated["s2"], cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if want := (state.Gone{Name: "s2", Replaced: true, Address: "172.16.0.2", Machine: "dead"}); !slices.Contains(c.Gone, want) {
		t.Errorf("gone %+v", c.Gone)
	}
	if !Forget(c, func(g state.Gone) bool { return g.Name == "s2" }) || c.Gone != nil {
		t.Errorf("still gone: %+v", c.Gone)
	}
}
