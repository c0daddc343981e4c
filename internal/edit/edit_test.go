package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// cluster is n servers s1…sn that were contacted, in one underlay.
func cluster(tb testing.TB, n int) *state.Cluster {
	tb.Helper()
	c := &state.Cluster{Schema: state.Schema, Name: "default", ID: "test"}
	addr := netip.MustParseAddr("172.16.0.1")
	for i := range n {
		name := fmt.Sprintf("s%d", i+1)
		if err := AddServer(c, name, state.Server{Address: addr.String()}); err != nil {
			tb.Fatal(err)
		}
		c.Servers[name].Facts = &state.Facts{Default4: "eth0", Interfaces: []state.Interface{
			{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 12)}},
		}}
		addr = addr.Next()
	}
	return c
}

// done completes c after an edit, as Do does; err is the edit's.
func done(c *state.Cluster, err error) error {
	if err != nil {
		return err
	}
	return network.Complete(c)
}

func number(n int64) *int64 { return &n }

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// TestRefusals: every bad edit is an error that says what, where and next, and
// leaves nothing behind that would be saved.
func TestRefusals(t *testing.T) {
	create := func(o option.Options) func(*state.Cluster) error {
		return func(c *state.Cluster) error { return done(c, Create(c, "new", "vxlan", o)) }
	}
	for name, c := range map[string]struct {
		edit func(*state.Cluster) error
		want string
	}{
		"taken server":    {func(c *state.Cluster) error { return AddServer(c, "s1", state.Server{Address: "10.9.9.9"}) }, "taken"},
		"reserved server": {func(c *state.Cluster) error { return AddServer(c, "client", state.Server{}) }, "reserved"},
		"local by SSH":    {func(c *state.Cluster) error { return AddServer(c, network.Local, state.Server{Address: "10.99.0.9"}) }, "reserved for this workstation"},
		"bad server name": {func(c *state.Cluster) error { return AddServer(c, "a/b", state.Server{}) }, "a/b"},
		"unknown server":  {func(c *state.Cluster) error { return done(c, Join(c, "vx1", []string{"s9"})) }, "unknown server s9"},
		"unknown network": {func(c *state.Cluster) error { return done(c, Join(c, "vx9", []string{"s1"})) }, "unknown network vx9"},
		"member of vx1":   {func(c *state.Cluster) error { return DelServer(c, "s1", false) }, "member of vx1"},
		"taken network": {func(c *state.Cluster) error {
			return done(c, Create(c, "vx1", "vxlan", option.Options{"mtu": int64(1234)}))
		}, "taken"},
		"reserved network":               {func(c *state.Cluster) error { return done(c, Create(c, "subnet", "vxlan", option.Options{})) }, "reserved"},
		"unknown kind":                   {func(c *state.Cluster) error { return done(c, Create(c, "new", "vlan", option.Options{})) }, "unknown type"},
		"VNI 0":                          {create(option.Options{"vni": int64(0)}), "VNI 0"},
		"VNI 2^24":                       {create(option.Options{"vni": int64(1 << 24)}), "VNI 16777216"},
		"taken VNI":                      {create(option.Options{"vni": int64(42)}), "taken by network vx1"},
		"port with another group policy": {create(option.Options{"gbp": true}), "only one of them has group policy"},
		"port 0":                         {create(option.Options{"port": int64(0)}), "port 0"},
		"port 70000":                     {create(option.Options{"port": int64(70000)}), "port 70000"},
		"MTU 100":                        {create(option.Options{"mtu": int64(100)}), "MTU 100"},
		"MTU for IPv6":                   {create(option.Options{"mtu": int64(1000), "subnet": prefixes("10.1.0.0/24", "fd00::/64")}), "IPv6 needs"},
		"long bridge":                    {create(option.Options{"bridge": "sixteen-bytes-xx"}), "16 bytes"},
		"odd bridge":                     {create(option.Options{"bridge": "a b"}), "not an interface name"},
		"taken bridge":                   {create(option.Options{"bridge": "vxl0"}), "taken by network vx1"},
		"underlay of no interface":       {create(option.Options{"interface": "eth0 eth1"}), `"eth0 eth1" is neither`},
		"own bridge":                     {create(option.Options{"bridge": "app0"}), "setsubnet"},
		"long interface":                 {create(option.Options{"interface": "sixteen-bytes-xx"}), "sixteen-bytes-xx"},
		"a /31":                          {create(option.Options{"subnet": prefixes("10.1.0.0/31")}), "too small"},
		"a /0":                           {create(option.Options{"subnet": prefixes("0.0.0.0/0")}), "cannot be given"},
		"overlap":                        {create(option.Options{"subnet": prefixes("10.0.0.0/8")}), "overlaps"},
		"link-local":                     {create(option.Options{"subnet": prefixes("fe80::/64")}), "link-local"},
		"multicast subnet":               {create(option.Options{"subnet": prefixes("239.0.0.0/24")}), "cannot be given"},
		"mapped subnet":                  {create(option.Options{"subnet": prefixes("::ffff:10.1.0.0/120")}), "IPv4-mapped"},
		"two IPv4 subnets":               {create(option.Options{"subnet": prefixes("10.1.0.0/24", "10.2.0.0/24")}), "two IPv4"},
		"no group":                       {create(option.Options{"group": netip.MustParseAddr("10.0.0.1")}), "multicast group"},
		"protocol group":                 {create(option.Options{"group": netip.MustParseAddr("224.0.0.5")}), "multicast group"},
		"bad domain":                     {create(option.Options{"domain": "a..b"}), "DNS domain"},
		"bad DHCP mode":                  {create(option.Options{"dhcp": "both"}), "unknown DHCP mode"},
		"DHCP server, off":               {create(option.Options{"dhcp": state.DHCPOff, "dhcp-server": "s1"}), "with DHCP off"},
		"DHCP server s9":                 {create(option.Options{"dhcp-server": "s9"}), "unknown server s9"},
		"subnet overlap":                 {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s1", netip.MustParsePrefix("10.0.4.0/25"))) }, "overlaps"},
		"small own subnet":               {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s1", netip.MustParsePrefix("10.9.4.0/31"))) }, "too small"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := cluster(t, 3)
			if err := done(cl, Create(cl, "vx1", "vxlan", option.Options{})); err != nil {
				t.Fatal(err)
			}
			if err := done(cl, Join(cl, "vx1", []string{"s1", "s2"})); err != nil {
				t.Fatal(err)
			}
			err := c.edit(cl)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if where, next := hint.Of(err); where == "" || next == "" {
				t.Errorf("%v: where %q, next %q", err, where, next)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// TestNothingDealtMoves: whatever joins and leaves, a member that stays keeps what
// it was dealt, and no two members share anything.
func TestNothingDealtMoves(t *testing.T) {
	for _, mode := range []string{state.DHCPSingle, state.DHCPDistributed} {
		rnd := seed.New(t)
		c := cluster(t, 40)
		o := option.Options{"subnet": prefixes("10.0.0.0/20", "fd00:4::/64"), "dhcp": mode}
		if err := done(c, Create(c, "vx1", "vxlan", o)); err != nil {
			t.Fatal(err)
		}
		n := c.Networks["vx1"]
		for range 300 {
			server := c.ServerNames()[rnd.IntN(40)]
			before := c.Clone().Networks["vx1"].Allocated
			if n.Allocated[server] == nil {
				if err := done(c, Join(c, "vx1", []string{server})); err != nil {
					t.Fatal(err)
				}
			} else if err := Leave(c, "vx1", []string{server}); err != nil {
				t.Fatal(err)
			}
			seen := map[string]string{}
			for name, a := range n.Allocated {
				if old := before[name]; old != nil && !cmp.Equal(old, a, cmp.Comparer(equalAddr), cmp.Comparer(equalPrefix)) {
					t.Fatalf("%s was dealt %v, now %v", name, old, a)
				}
				for _, what := range append(strings.Fields(fmt.Sprint(a.Addrs, a.Pool)), fmt.Sprint("id ", a.ID)) {
					what = strings.Trim(what, "[]")
					if seen[what] != "" && what != "" {
						t.Fatalf("%s and %s share %s", name, seen[what], what)
					}
					seen[what] = name
				}
			}
		}
	}
}

// TestOrderOfServersDoesNotMatter: the specs follow from what is in the file, not
// from the order in which it was put there.
func TestOrderOfServersDoesNotMatter(t *testing.T) {
	a := cluster(t, 5)
	if err := done(a, Create(a, "vx1", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	if err := done(a, Join(a, "vx1", []string{"s3", "s1", "s5"})); err != nil {
		t.Fatal(err)
	}
	b := a.Clone()
	b.Servers = map[string]*state.Server{}
	for _, name := range []string{"s5", "s4", "s3", "s2", "s1"} {
		b.Servers[name] = a.Servers[name]
	}
	ha, hb := compiled(t, a), compiled(t, b)
	for name := range ha {
		if ha[name].Sum() != hb[name].Sum() {
			t.Errorf("%s differs", name)
		}
	}
}

// TestRemovedServerIsMentionedNowhere in anybody's spec.
func TestRemovedServerIsMentionedNowhere(t *testing.T) {
	c := cluster(t, 3)
	if err := done(c, Create(c, "vx1", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "vx1", []string{"s1", "s2", "s3"})); err != nil {
		t.Fatal(err)
	}
	if err := DelServer(c, "s2", true); err != nil {
		t.Fatal(err)
	}
	for name, h := range compiled(t, c) {
		for _, trace := range []string{"172.16.0.2", "10.0.4.253", "s2"} {
			if strings.Contains(h.Text(), trace) {
				t.Errorf("%s still mentions %s:\n%s", name, trace, h.Text())
			}
		}
	}
}

// TestJoinAgainMovesOnlyTheUnderlay.
func TestJoinAgainMovesOnlyTheUnderlay(t *testing.T) {
	c := cluster(t, 2)
	if err := done(c, Create(c, "vx1", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "vx1", []string{"s1", "s2"})); err != nil {
		t.Fatal(err)
	}
	old := *c.Networks["vx1"].Allocated["s1"]
	if err := done(c, Join(c, "vx1", []string{"s1:172.16.0.1"})); err != nil {
		t.Fatal(err)
	}
	n := c.Networks["vx1"]
	if d := cmp.Diff([]string{"s1:172.16.0.1", "s2"}, n.Members); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(old, *n.Allocated["s1"], cmp.Comparer(equalAddr), cmp.Comparer(equalPrefix)); d != "" {
		t.Error(d)
	}
}

func TestFreeSubnetAvoidsWhatServersRoute(t *testing.T) {
	c := cluster(t, 1)
	c.Servers["s1"].Facts.Prefixes = prefixes("10.0.5.0/24", "10.0.4.128/25", "10.0.6.0/23", "10.0.0.0/30")
	if err := done(c, Create(c, "vx1", network.VXLAN, option.Options{})); err != nil || c.Networks["vx1"].Subnets[0].String() != "10.0.8.0/24" {
		t.Fatalf("%v: free subnet %v", err, c.Networks["vx1"].Subnets)
	}
}

func compiled(tb testing.TB, c *state.Cluster) map[string]*spec.Host {
	tb.Helper()
	out, err := network.Compile(c)
	if err != nil {
		tb.Fatal(err)
	}
	if len(out.Problems) > 0 {
		tb.Fatal(out.Problems)
	}
	return out.Hosts
}

// BenchmarkJoin is the workstation's work for one more server: join, compile, and
// find out whose spec changed. It must grow linearly with the servers.
func BenchmarkJoin(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := cluster(b, n)
			if err := done(c, Create(c, "vx1", "vxlan", option.Options{"subnet": prefixes("10.0.0.0/16")})); err != nil {
				b.Fatal(err)
			}
			if err := done(c, Join(c, "vx1", c.ServerNames()[1:])); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for b.Loop() {
				if err := done(c, Join(c, "vx1", []string{"s1"})); err != nil {
					b.Fatal(err)
				}
				for _, h := range compiled(b, c) {
					h.Sum()
				}
				if err := Leave(c, "vx1", []string{"s1"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDealtTwice: a file in which two members have one number or address is refused.
func TestDealtTwice(t *testing.T) {
	c := cluster(t, 2)
	if err := done(c, Create(c, "vx1", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "vx1", []string{"s1", "s2"})); err != nil {
		t.Fatal(err)
	}
	same := c.Clone()
	same.Networks["vx1"].Allocated["s2"].ID = 1
	if err := network.Complete(same); err == nil || !strings.Contains(err.Error(), "s1 and s2 were dealt the same id 1") {
		t.Errorf("id: %v", err)
	}
	same = c.Clone()
	same.Networks["vx1"].Allocated["s2"].Addrs[0] = same.Networks["vx1"].Allocated["s1"].Addrs[0]
	if err := network.Complete(same); err == nil || !strings.Contains(err.Error(), "s1 and s2 were dealt the same address 10.0.4.254") {
		t.Errorf("address: %v", err)
	}
}

// TestLeaveTwiceInOneBreath: a name that is repeated is one wish.
func TestLeaveTwiceInOneBreath(t *testing.T) {
	c := cluster(t, 2)
	if err := done(c, Create(c, "vx1", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "vx1", []string{"s1", "s2", "s1"})); err != nil {
		t.Fatal(err)
	}
	if err := Leave(c, "vx1", []string{"s1", "s1"}); err != nil || len(c.Networks["vx1"].Members) != 1 {
		t.Errorf("members %v, %v", c.Networks["vx1"].Members, err)
	}
}

// TestNewSubnetIsToBlame: an overlap is the newcomer's, and the advice is free and
// private.
func TestNewSubnetIsToBlame(t *testing.T) {
	c := cluster(t, 2)
	if err := done(c, Create(c, "mm", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	for _, p := range prefixes("10.0.0.0/8", "10.0.4.0/24", "10.0.4.128/25") {
		err := Create(c.Clone(), "aa", "vxlan", option.Options{"subnet": []netip.Prefix{p}})
		where, next := hint.Of(err)
		if where != "network aa" || !strings.HasSuffix(next, " 10.0.5.0/24") {
			t.Errorf("%s: where %q, next %q, %v", p, where, next, err)
		}
		err = SetSubnet(c.Clone(), "s1", p)
		if where, next = hint.Of(err); where != "the container subnet of s1" || !strings.HasSuffix(next, " 10.0.5.0/24") {
			t.Errorf("%s: where %q, next %q, %v", p, where, next, err)
		}
	}
}

// TestDHCPKeepsAnAddress: servers do not take what there is to hand out.
func TestDHCPKeepsAnAddress(t *testing.T) {
	c := cluster(t, 4)
	if err := done(c, Create(c, "vx1", "vxlan", option.Options{"subnet": prefixes("10.0.4.0/29")})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "vx1", []string{"s1", "s2", "s3"})); err != nil {
		t.Fatal(err)
	}
	out, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	if r := out.Hosts["s1"].DHCPs[0].Ranges[0].String(); r != "10.0.4.2-10.0.4.2/29" {
		t.Errorf("range %s", r)
	}
	if err := done(c, Join(c, "vx1", []string{"s4"})); err == nil {
		t.Error("the fourth server took the last address")
	}
}

// TestNameServerStays: where names are asked for stays when another server hands out,
// and nobody else is there, not even one that an earlier version put there.
func TestNameServerStays(t *testing.T) {
	c := cluster(t, 3)
	if err := done(c, Create(c, "vx1", "vxlan", option.Options{"subnet": prefixes("10.0.4.0/29", "fd00:4::/64"), "dhcp-server": "s1"})); err != nil {
		t.Fatal(err)
	}
	c.Networks["vx1"].Allocated = map[string]*state.Allocation{
		"s1": {ID: 1, Addrs: []netip.Addr{netip.MustParseAddr("10.0.4.6"), netip.MustParseAddr("fd00:4::2")}},
	}
	if err := done(c, Join(c, "vx1", []string{"s1", "s2", "s3"})); err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{"s1", "s2", "s3"} {
		c.Networks["vx1"].DHCPServer = server
		out, err := network.Compile(c)
		if err != nil {
			t.Fatal(err)
		}
		for name, h := range out.Hosts {
			var there []string
			for _, a := range h.Addrs {
				if a := a.Prefix.Addr().String(); a == "10.0.4.6" || a == "fd00:4:0:0:c000::" {
					there = append(there, a)
				}
			}
			if want := name == server; want != (len(there) == 2) || !want && len(there) > 0 {
				t.Errorf("%s hands out, %s has %v", server, name, there)
			}
			if name == server && !slices.Equal(h.DHCPs[0].DNS, []netip.Addr{netip.MustParseAddr("10.0.4.6"), netip.MustParseAddr("fd00:4:0:0:c000::")}) {
				t.Errorf("%s tells %v", server, h.DHCPs[0].DNS)
			}
		}
	}
}

// TestTheNewNetworkIsToBlame: whatever its name, an error is about the network that
// is being made.
func TestTheNewNetworkIsToBlame(t *testing.T) {
	c := cluster(t, 1)
	if err := done(c, Create(c, "mm", "vxlan", option.Options{})); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aa", "zz"} {
		err := Create(c.Clone(), name, "vxlan", option.Options{"vni": int64(42)})
		where, next := hint.Of(err)
		if where != "network "+name+", vni" || next != "-v 43" || !strings.Contains(err.Error(), "taken by network mm") {
			t.Errorf("%s: where %q, next %q, %v", name, where, next, err)
		}
	}
}

func equalPrefix(a, b netip.Prefix) bool { return a == b }
func equalAddr(a, b netip.Addr) bool     { return a == b }
