package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// auto are all networks whose subnets are dealt by themselves.
func auto() map[string]func(c *state.Cluster, name string, o option.Options) error {
	out := map[string]func(c *state.Cluster, name string, o option.Options) error{
		network.GRE: func(c *state.Cluster, name string, o option.Options) error {
			to := TunnelOptions{Name: name}
			list, _ := o["subnet"].([]netip.Prefix)
			for _, p := range list {
				to.Addresses = append(to.Addresses, netip.PrefixFrom(p.Addr(), p.Bits()), netip.PrefixFrom(p.Addr().Next(), p.Bits()))
			}
			return done(c, AddTunnel(c, network.GRE, "s1", "s2", to))
		},
	}
	for _, kind := range []string{network.VXLAN, network.WireGuard, network.L2, network.HostGW} {
		out[kind] = func(c *state.Cluster, name string, o option.Options) error { return done(c, Create(c, name, kind, o)) }
	}
	return out
}

// TestSubnetsStayPrivate: where a server has a route to 10.0.0.0/8, the other private
// ranges are dealt from.
func TestSubnetsStayPrivate(t *testing.T) {
	for kind, create := range auto() {
		c := cluster(t, 2)
		c.Servers["s1"].Facts.Interfaces[0].Addrs = prefixes("192.168.0.1/24")
		c.Servers["s2"].Facts.Interfaces[0].Addrs = prefixes("192.168.0.2/24")
		c.Servers["s1"].Facts.Prefixes = prefixes("10.0.0.0/8")
		if err := create(c, "n1", option.Options{}); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		for _, p := range append(slices.Clone(c.Networks["n1"].Subnets), c.Networks["n1"].Mesh) {
			if p.IsValid() && (!prefix.IsPrivate(p) || !netip.MustParsePrefix("172.16.0.0/12").Contains(p.Addr())) {
				t.Errorf("%s is dealt %s", kind, p)
			}
		}
	}
}

// TestPoolsEnd: as many pools as there is private space for, then a refusal whose advice
// works.
func TestPoolsEnd(t *testing.T) {
	c := cluster(t, 1)
	c.Servers["s1"].Facts.Interfaces[0].Addrs = prefixes("192.0.2.1/24")
	c.Servers["s1"].Facts.Prefixes = prefixes("10.0.0.0/9", "10.128.0.0/10", "10.192.0.0/11", "10.224.0.0/12", "100.64.0.0/10")
	last := netip.Prefix{}
	for i := 0; ; i++ {
		err := done(c, Create(c, fmt.Sprint("n", i), network.HostGW, option.Options{}))
		if err == nil {
			if last = c.Networks[fmt.Sprint("n", i)].Subnets[0]; !prefix.IsPrivate(last) {
				t.Fatalf("the pool %d is %s", i, last)
			}
			continue
		}
		if i != 16+16+1 || !strings.Contains(err.Error(), "no /16 is free in 10.0.0.0/8, 172.16.0.0/12") {
			t.Fatalf("after %d pools: %v", i, err)
		}
		delete(c.Networks, fmt.Sprint("n", i))
		break
	}
	delete(c.Networks, "n32")
	c.Servers["s1"].Facts.Prefixes = append(c.Servers["s1"].Facts.Prefixes, netip.PrefixFrom(prefix.Top(last), 24).Masked())
	for i, bits := range []int{17, 18, 19} { // a half, a quarter, an eighth is left
		err := Create(c.Clone(), fmt.Sprint("m", i), network.HostGW, option.Options{})
		_, next := hint.Of(err)
		p, bad := netip.ParsePrefix(strings.TrimPrefix(next, "-s "))
		if err == nil || bad != nil || p.Bits() != bits {
			t.Fatalf("next %q: %v", next, err)
		}
		if err := done(c, Create(c, fmt.Sprint("m", i), network.HostGW, option.Options{"subnet": []netip.Prefix{p}})); err != nil {
			t.Fatalf("%s does not work: %v", next, err)
		}
	}
}

// TestNothingIsFree: a refusal says so where nothing smaller is free, for every kind.
func TestNothingIsFree(t *testing.T) {
	for kind, create := range auto() {
		c := cluster(t, 2)
		c.Servers["s1"].Facts.Prefixes = prefix.Private()
		err := create(c, "n1", option.Options{})
		where, next := hint.Of(err)
		if err == nil || !strings.Contains(err.Error(), "is free in") || !strings.Contains(where, "n1") || next == "" {
			t.Errorf("%s: where %q, next %q, %v", kind, where, next, err)
		}
	}
}

// TestPublicSpaceIsNoted: told by hand it is taken, with a note; private space has none.
func TestPublicSpaceIsNoted(t *testing.T) {
	for _, test := range []struct {
		subnet string
		noted  bool
	}{
		{"11.0.0.0/24", true},
		{"192.0.2.0/24", true},
		{"2001:db8::/64", true},
		{"8.0.0.0/7", true},
		{"172.32.0.0/16", true},
		{"10.9.0.0/24", false},
		{"172.31.0.0/16", false},
		{"192.168.9.0/24", false},
		{"100.64.0.0/24", false},
		{"fd00:9::/64", false},
	} {
		c := cluster(t, 1)
		c.Servers["s1"].Facts.Interfaces[0].Addrs = prefixes("198.51.100.1/24")
		p := netip.MustParsePrefix(test.subnet)
		out, err := Do(c, func(c *state.Cluster) error {
			if err := done(c, Create(c, "n1", network.VXLAN, option.Options{"subnet": []netip.Prefix{p}})); err != nil {
				return err
			}
			return done(c, Join(c, "n1", []string{"s1"}))
		})
		if err != nil {
			t.Fatal(test.subnet, err)
		}
		noted := func(out *ground.Compiled, of string) bool {
			return slices.ContainsFunc(out.Notes, func(n ground.Note) bool { return n.Network == of && strings.Contains(n.Text, "public address space") })
		}
		if noted(out, "n1") != test.noted {
			t.Errorf("%s: notes %v", test.subnet, out.Notes)
		}
		out, err = Do(c, func(c *state.Cluster) error {
			if err := Remove(c, "n1"); err != nil {
				return err
			}
			return done(c, SetSubnet(c, "s1", p))
		})
		if err != nil || noted(out, ground.OwnSubnet("s1")) != test.noted {
			t.Errorf("setsubnet s1 %s: %v, %v", test.subnet, out, err)
		}
	}
}

// TestHostBits: wherever a person says a prefix, bits behind its length are refused, and
// the advice is the same without them.
func TestHostBits(t *testing.T) {
	as := uint32(64513)
	router := netip.MustParseAddr("172.16.9.9")
	file := func(n state.Network) func(*state.Cluster) error {
		return replacing(func(c *state.Cluster) { c.Networks = map[string]*state.Network{"n1": &n} })
	}
	for name, test := range map[string]struct {
		edit func(*state.Cluster) error
		next string
	}{
		"-s": {func(c *state.Cluster) error {
			return done(c, Create(c, "n1", network.VXLAN, option.Options{"subnet": prefixes("10.9.0.7/24")}))
		}, "-s 10.9.0.0/24"},
		"-s of a pool": {func(c *state.Cluster) error {
			return done(c, Create(c, "n1", network.HostGW, option.Options{"subnet": prefixes("fd09::7/48")}))
		}, "-s fd09::/48"},
		"a file's":   {file(state.Network{Type: network.VXLAN, Subnets: prefixes("10.9.0.7/24")}), "-s 10.9.0.0/24"},
		"its mesh":   {file(state.Network{Type: network.L2, Mesh: netip.MustParsePrefix("10.9.0.7/24")}), "mesh = \"10.9.0.0/24\" in a file for flock apply -f"},
		"its tunnel": {file(state.Network{Type: network.GRE, Members: []string{"s1", "s2"}, Subnets: prefixes("10.9.0.1/30")}), "10.9.0.0/30"},
		"a share": {func(c *state.Cluster) error {
			if err := done(c, Create(c, "n1", network.HostGW, option.Options{})); err != nil {
				return err
			}
			return done(c, AddShares(c, "n1", []string{"s1:10.9.0.7/24"}, false))
		}, "s1:10.9.0.0/24"},
		"--accept": {func(c *state.Cluster) error {
			if err := done(c, CreateBGP(c, "n1", "s1", BGPOptions{})); err != nil {
				return err
			}
			return done(c, AddExternal(c, "n1", "s1", router, ExternalOptions{AS: &as, Accept: &[]string{"10.9.0.7/16 le 24"}}))
		}, "\"10.9.0.0/16 le 24\""},
	} {
		_, err := Do(cluster(t, 2), test.edit)
		if _, next := hint.Of(err); err == nil || !strings.Contains(err.Error(), "bits set behind its prefix") || next != test.next {
			t.Errorf("%s: next %q, want %q: %v", name, next, test.next, err)
		}
	}
}

// TestAdviceFits: what is refused as too small is told what it is for, and the example
// is free, of the same family, and does.
func TestAdviceFits(t *testing.T) {
	create := func(kind string) func(c *state.Cluster, p netip.Prefix) error {
		return func(c *state.Cluster, p netip.Prefix) error {
			return done(c, Create(c, "n1", kind, option.Options{"subnet": []netip.Prefix{p}}))
		}
	}
	for name, test := range map[string]struct {
		create func(c *state.Cluster, p netip.Prefix) error
		small  []string
		words  string
	}{
		"vxlan":     {create(network.VXLAN), []string{"10.0.4.0/30", "fd00::/124", "224.0.0.0/24", "ff02::/64"}, "a gateway, servers and containers"},
		"wireguard": {create(network.WireGuard), []string{"10.0.4.0/30", "fd00::/124", "127.0.0.0/24"}, "the servers of an encrypted network"},
		"host-gw":   {create(network.HostGW), []string{"10.0.4.0/30", "fd00::/124", "0.0.0.0/0"}, "subnets of members"},
		"setsubnet": {func(c *state.Cluster, p netip.Prefix) error { return done(c, SetSubnet(c, "s2", p)) }, []string{"10.0.40.0/30", "fd00::/124"}, "a gateway and containers"},
		"taken":     {create(network.VXLAN), []string{"10.0.4.0/24", "10.0.0.0/8", "fd00:4::/64"}, ""},
		"taken too": {create(network.WireGuard), []string{"10.0.4.0/24", "fd00:4::/64"}, ""},
	} {
		for _, small := range test.small {
			c := cluster(t, 2)
			for _, err := range []error{
				done(c, Create(c, "vx1", network.VXLAN, option.Options{"subnet": prefixes("10.0.4.0/24", "fd00:4::/64")})),
				done(c, Create(c, "w1", network.WireGuard, option.Options{"subnet": prefixes("10.0.8.0/24", "fd00:8::/64")})),
				done(c, SetSubnet(c, "s1", netip.MustParsePrefix("10.0.5.0/24"))),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			p := netip.MustParsePrefix(small)
			err := test.create(c.Clone(), p)
			_, next := hint.Of(err)
			_, text, _ := strings.Cut(next, ", for example ")
			example, bad := netip.ParsePrefix(text)
			if err == nil || bad != nil || example.Addr().Is6() != p.Addr().Is6() {
				t.Errorf("%s %s: next %q, %v", name, small, next, err)
				continue
			}
			if strings.Contains(err.Error(), "too small") && !strings.Contains(err.Error(), test.words) {
				t.Errorf("%s %s: %v", name, small, err)
			}
			if err := test.create(c, example); err != nil {
				t.Errorf("%s %s: the example %s does not work: %v", name, small, example, err)
			}
		}
	}
}
