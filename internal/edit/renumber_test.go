package edit

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// TestRenumberingIsNoted where a bridge stays and its subnet does not.
func TestRenumberingIsNoted(t *testing.T) {
	build := func() *state.Cluster {
		c := cluster(t, 2)
		for _, err := range []error{
			done(c, Create(c, "hb", network.HostGW, option.Options{"bridge": "hb0", "subnet": prefixes("10.150.0.0/16")})),
			done(c, Join(c, "hb", []string{"s1", "s2"})),
			done(c, Create(c, "bare", network.HostGW, option.Options{})),
			done(c, Join(c, "bare", []string{"s1", "s2"})),
			done(c, Create(c, "vx1", network.VXLAN, option.Options{})),
			done(c, Join(c, "vx1", []string{"s1", "s2"})),
			done(c, SetSubnet(c, "s1", netip.MustParsePrefix("10.1.1.0/24"))),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	for name, test := range map[string]struct {
		edit func(*state.Cluster) error
		want string
	}{
		"a pool with a bridge": {
			replacing(func(c *state.Cluster) {
				c.Networks["hb"].Subnets, c.Networks["hb"].Allocated = prefixes("10.160.0.0/16"), nil
			}),
			"hb: hb0 on s1 becomes 10.160.0.0/24, it was 10.150.0.0/24: containers",
		},
		"a pool without": {replacing(func(c *state.Cluster) {
			c.Networks["bare"].Subnets, c.Networks["bare"].Allocated = prefixes("10.160.0.0/16"), nil
		}), ""},
		"a segment": {replacing(func(c *state.Cluster) {
			c.Networks["vx1"].Subnets, c.Networks["vx1"].Allocated = prefixes("10.9.0.0/24"), nil
		}), "vx1: vxl0 on s1, s2 becomes 10.9.0.0/24, it was 10.0.4.0/24"},
		"app0":             {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s1", netip.MustParsePrefix("10.1.2.0/24"))) }, "the container subnet of s1: app0 on s1 becomes 10.1.2.0/24"},
		"app0's address":   {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s1", netip.MustParsePrefix("10.1.1.9/24"))) }, ""},
		"app0 goes":        {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s1", netip.Prefix{})) }, ""},
		"a member leaves":  {func(c *state.Cluster) error { return Leave(c, "vx1", []string{"s1"}) }, ""},
		"nothing":          {unchanged, ""},
		"a bridge by type": {func(c *state.Cluster) error { _, err := ChangeType(c, "hb", network.VXLANL3); return err }, ""},
		"a second subnet": {replacing(func(c *state.Cluster) {
			c.Networks["vx1"].Subnets, c.Networks["vx1"].Allocated = prefixes("10.0.4.0/24", "fd00:4::/64"), nil
		}), ""},
		"IPv4 for IPv6": {replacing(func(c *state.Cluster) {
			c.Networks["vx1"].Subnets, c.Networks["vx1"].Allocated = prefixes("fd00:4::/64"), nil
		}), "vx1: vxl0 on s1, s2 loses 10.0.4.0/24: what containers"},
		"no more and other": {func(c *state.Cluster) error { return Remove(c, "hb") }, ""},
	} {
		c := build()
		was := compiled(t, c)
		now, err := Do(c, test.edit)
		if err != nil {
			t.Fatal(name, err)
		}
		var have []string
		for _, n := range Renumbered(was, now.Hosts) {
			have = append(have, n.Network+": "+n.Text)
		}
		if text := strings.Join(have, "\n"); (text == "") != (test.want == "") || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s: want %q, have %q", name, test.want, text)
		}
		if notes := Renumbered(nil, now.Hosts); notes != nil {
			t.Errorf("%s: without a before: %v", name, notes)
		}
	}
}

// A bridge whose MTU becomes less is noted, one whose MTU becomes more, comes or goes is not.
func TestNarrowed(t *testing.T) {
	for name, test := range map[string]struct {
		from, to int64
		want     string
	}{
		"less":  {1400, 1300, "vx1: the MTU on s1, s2 becomes 1300, it was 1400"},
		"more":  {1300, 1400, ""},
		"equal": {1400, 1400, ""},
	} {
		c := cluster(t, 3)
		if err := done(c, Create(c, "vx1", network.VXLAN, option.Options{"mtu": test.from})); err != nil {
			t.Fatal(err)
		}
		if err := done(c, Join(c, "vx1", []string{"s1", "s2"})); err != nil {
			t.Fatal(err)
		}
		was := compiled(t, c)
		now, err := Do(c, func(c *state.Cluster) error {
			_, err := Set(c, "vx1", option.Options{"mtu": test.to}, nil)
			return errors.Join(err, Join(c, "vx1", []string{"s3"}))
		})
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, n := range Narrowed(was, now.Hosts) {
			have = append(have, n.Network+": "+n.Text)
		}
		if text := strings.Join(have, "\n"); (text == "") != (test.want == "") || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s: want %q, have %q", name, test.want, text)
		}
		if notes := Narrowed(nil, now.Hosts); notes != nil {
			t.Errorf("%s: without a before: %v", name, notes)
		}
	}
}
