package edit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// TestNobodyIsStranded: what others stand in goes after them.
func TestNobodyIsStranded(t *testing.T) {
	bnet := &state.Network{Type: network.BGP, Members: []string{"s1:10.0.8.1", "s2:10.0.8.2"}}
	wirex := &state.Network{Type: network.WireGuard, Members: []string{"s1", "s2", "s3"}}
	for name, test := range map[string]struct {
		edit func(*state.Cluster) error
		next string // "": it may
	}{
		"remove":       {func(c *state.Cluster) error { return Remove(c, "wirex") }, "flock removebgp bnet"},
		"leave":        {func(c *state.Cluster) error { return LeaveClients(c, "wirex", []string{"s2"}) }, "flock delbgp bnet server s2"},
		"another":      {func(c *state.Cluster) error { return LeaveClients(c, "wirex", []string{"s3"}) }, ""},
		"force":        {func(c *state.Cluster) error { return DelServer(c, "s2", true) }, ""},
		"its own":      {func(c *state.Cluster) error { return RemoveBGP(c, "bnet") }, ""},
		"another name": {func(c *state.Cluster) error { c.Networks["w2"] = c.Networks["wirex"]; return Remove(c, "wirex") }, ""},
		"a new file": {func(c *state.Cluster) error {
			_, err := Replace(c, &state.Cluster{Servers: c.Servers, Networks: map[string]*state.Network{"bnet": bnet}})
			return err
		}, "flock removebgp bnet"},
	} {
		c := &state.Cluster{Name: "default", Servers: map[string]*state.Server{"s1": {}, "s2": {}, "s3": {}}, Networks: map[string]*state.Network{"wirex": wirex, "bnet": bnet}}
		c = c.Clone()
		if err := network.Complete(c); err != nil {
			t.Fatal(err)
		}
		before := stackedIn(c)
		if len(before) != 2 || before[1] != (standing{network: "bnet", member: "s2:10.0.8.2", in: "wirex"}) {
			t.Fatalf("carried: %v", before)
		}
		if err := test.edit(c); err != nil {
			t.Fatal(name, err)
		}
		err := stillStacked(c, before)
		if _, next := hint.Of(err); (err != nil) != (test.next != "") || next != test.next || err != nil && !strings.Contains(err.Error(), "bnet stands in wirex") {
			t.Errorf("%s: want next %q, have %q: %v", name, test.next, next, err)
		}
	}
}

// TestNobodyIsStrandedOnABridge: bridges of pool networks and of setsubnet, devices by
// name, and routers that are reached in a network, are stood in as well.
func TestNobodyIsStrandedOnABridge(t *testing.T) {
	all := func(t *testing.T) *state.Cluster {
		c := cluster(t, 3)
		for _, err := range []error{
			done(c, Create(c, "hb", network.HostGW, option.Options{"bridge": "hb0", "subnet": prefixes("10.150.0.0/16")})),
			done(c, Join(c, "hb", []string{"s1", "s2", "s3"})),
			done(c, Create(c, "vx1", network.VXLAN, option.Options{})),
			done(c, Join(c, "vx1", []string{"s1:10.150.0.1", "s2:10.150.1.1"})),
			done(c, SetSubnet(c, "s3", netip.MustParsePrefix("10.1.1.0/24"))),
			done(c, Create(c, "vx3", network.VXLAN, option.Options{})),
			done(c, Join(c, "vx3", []string{"s3:10.1.1.1"})),
			done(c, Create(c, "dev", network.VXLAN, option.Options{"interface": "hb0"})),
			done(c, Join(c, "dev", []string{"s3"})),
			done(c, Create(c, "wirex", network.WireGuard, option.Options{})),
			done(c, JoinLead(c, "wirex", "s1")),
			done(c, JoinClients(c, "wirex", []string{"s3"})),
			done(c, CreateBGP(c, "east", "s1", BGPOptions{})),
			done(c, AddExternal(c, "east", "s1", netip.MustParseAddr("10.0.8.2"), ExternalOptions{AS: new(uint32(64513))})),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	other := prefixes("10.160.0.0/16")
	for name, test := range map[string]struct {
		edit        func(*state.Cluster) error
		what, where string
		next        string
	}{
		"the pool":        {func(c *state.Cluster) error { return Remove(c, "hb") }, "dev stands in hb", "network hb", "flock removenetwork dev"},
		"a member of it":  {func(c *state.Cluster) error { return Leave(c, "hb", []string{"s2"}) }, "vx1 stands in hb: its member s2:10.150.1.1", "network hb", "flock delnetwork vx1 s2"},
		"its device":      {func(c *state.Cluster) error { return Leave(c, "hb", []string{"s3"}) }, "dev stands in hb: its member s3", "network hb", "flock delnetwork dev s3"},
		"app0":            {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s3", netip.Prefix{})) }, "vx3 stands in the container subnet of s3", "server s3, subnet", "flock delnetwork vx3 s3"},
		"app0's address":  {func(c *state.Cluster) error { return done(c, SetSubnet(c, "s3", netip.MustParsePrefix("10.1.2.0/24"))) }, "vx3 stands in the container subnet of s3", "server s3, subnet", "flock delnetwork vx3 s3"},
		"a router's way":  {func(c *state.Cluster) error { return Remove(c, "wirex") }, "east stands in wirex: the router 10.0.8.2 of s1", "network wirex", "flock delbgp east external s1 10.0.8.2"},
		"renumbered":      {replacing(func(c *state.Cluster) { c.Networks["hb"].Subnets, c.Networks["hb"].Allocated = other, nil }), "vx1 stands in hb", "network hb", "flock delnetwork vx1 s1"},
		"without bridge":  {replacing(func(c *state.Cluster) { c.Networks["hb"].Bridge, c.Networks["hb"].Domain = "", "" }), "dev stands in hb", "network hb", "flock delnetwork dev s3"},
		"a file without":  {replacing(func(c *state.Cluster) { delete(c.Networks, "hb") }), "dev stands in hb", "network hb", "flock removenetwork dev"},
		"without app0":    {replacing(func(c *state.Cluster) { c.Servers["s3"].Subnet = netip.Prefix{} }), "vx3 stands in the container subnet of s3", "server s3, subnet", "flock delnetwork vx3 s3"},
		"another member":  {func(c *state.Cluster) error { return Remove(c, "vx1") }, "", "", ""},
		"another backend": {func(c *state.Cluster) error { _, err := ChangeType(c, "hb", network.VXLANL3); return err }, "", "", ""},
		"force":           {func(c *state.Cluster) error { return DelServer(c, "s3", true) }, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := all(t)
			_, err := Do(c, test.edit)
			where, next := hint.Of(err)
			if (err == nil) != (test.what == "") || err != nil && !strings.Contains(err.Error(), test.what) || where != test.where || next != test.next {
				t.Errorf("want %q, where %q, next %q; have %v, where %q, next %q", test.what, test.where, test.next, err, where, next)
			}
		})
	}
	c := all(t)
	if err := Remove(c, "dev"); err != nil { // on a device that no server was seen to have yet
		t.Fatal(err)
	}
	out, err := network.Compile(c)
	if err != nil || len(out.Problems) > 0 {
		t.Fatal(out.Problems, err)
	}
	for _, l := range out.Hosts["s1"].Links {
		if l.Network == "vx1" && l.MTU != 1450 {
			t.Errorf("%s, which stands in a pool of 1500 bytes, has an MTU of %d", l.Name, l.MTU)
		}
	}
}

// replacing is apply -f of the file as hand leaves it.
func replacing(hand func(*state.Cluster)) func(*state.Cluster) error {
	return func(c *state.Cluster) error {
		wish := c.Clone()
		hand(wish)
		_, err := Replace(c, wish)
		return err
	}
}
