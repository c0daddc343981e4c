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
	"github.com/flocknet/flock/internal/state"
)

// tunneled is three servers and a GRE tunnel between two of them.
func tunneled(t *testing.T) *state.Cluster {
	t.Helper()
	c := cluster(t, 3)
	for _, err := range []error{
		done(c, AddTunnel(c, network.GRE, "s1", "s2", TunnelOptions{})),
		done(c, AddShares(c, "gre-s1-s2", []string{"s2:10.0.11.0/24"}, false)),
		done(c, Create(c, "vx1", network.VXLAN, option.Options{})),
		done(c, Join(c, "vx1", []string{"s1"})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestTunnelRefusals(t *testing.T) {
	add := func(kind, a, b string, o TunnelOptions) func(*state.Cluster) error {
		return func(c *state.Cluster) error { return done(c, AddTunnel(c, kind, a, b, o)) }
	}
	addr := netip.MustParseAddr
	for name, edit := range map[string]struct {
		edit func(*state.Cluster) error
		want string
	}{
		"type":              {add("vxlan", "s1", "s3", TunnelOptions{}), `unknown type "vxlan"`},
		"to itself":         {add(network.GRE, "s3", "s3", TunnelOptions{}), "to itself"},
		"unknown server":    {add(network.GRE, "s1", "s9", TunnelOptions{}), "unknown server s9"},
		"name taken":        {add(network.GRE, "s1", "s3", TunnelOptions{Name: "vx1"}), "name is taken"},
		"default name":      {add(network.GRE, "s1", "s2", TunnelOptions{Key: number(1)}), "name is taken"},
		"name":              {add(network.GRE, "s1", "s3", TunnelOptions{Name: "a/b"}), "not a name"},
		"reserved name":     {add(network.GRE, "s1", "s3", TunnelOptions{Name: "subnet"}), "reserved"},
		"module's device":   {add(network.GRE, "s1", "s3", TunnelOptions{Name: "gre0"}), "servers have anyway"},
		"network's bridge":  {add(network.GRE, "s1", "s3", TunnelOptions{Name: "vxl0"}), "device vxl0 is network vx1's on s1"},
		"same ends":         {add(network.GRE, "s1", "s2", TunnelOptions{Name: "g2"}), "same ends and the same key"},
		"same ends back":    {add(network.GRE, "s2", "s1", TunnelOptions{}), "same ends and the same key"},
		"key 0":             {add(network.GRE, "s1", "s3", TunnelOptions{Key: number(0)}), "key 0 is out of range"},
		"key too large":     {add(network.GRE, "s1", "s3", TunnelOptions{Key: number(1 << 32)}), "key 4294967296 is out of range"},
		"key of ipip":       {add(network.IPIP, "s1", "s3", TunnelOptions{Key: number(7)}), "has no key"},
		"TTL 0":             {add(network.GRE, "s1", "s3", TunnelOptions{TTL: number(0)}), "TTL 0 is out of range"},
		"TTL too large":     {add(network.GRE, "s1", "s3", TunnelOptions{TTL: number(256)}), "TTL 256 is out of range"},
		"one address":       {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.6.1/30")}), "two addresses, or four"},
		"two subnets":       {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.6.1/30", "10.0.6.5/30")}), "not two addresses of one subnet"},
		"two lengths":       {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.6.1/30", "10.0.6.2/29")}), "not two addresses of one subnet"},
		"one address twice": {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.6.1/30", "10.0.6.1/30")}), "not two addresses of one subnet"},
		"no subnet at all":  {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.6.1/32", "10.0.6.2/32")}), "not two addresses of one subnet"},
		"broadcast":         {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.9.6.3/30", "10.9.6.2/30")}), "10.9.6.3 is not an address that an end can have"},
		"the subnet's own":  {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.9.6.1/30", "10.9.6.0/30")}), "10.9.6.0 is not an address that an end can have"},
		"multicast":         {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("239.0.0.1/30", "239.0.0.2/30")}), "cannot be given"},
		"two of a family":   {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.9.6.1/30", "10.9.6.2/30", "10.9.7.1/30", "10.9.7.2/30")}), "two IPv4 subnets"},
		"IPv6 in ipip":      {add(network.IPIP, "s1", "s3", TunnelOptions{Addresses: prefixes("fd06::1/126", "fd06::2/126")}), "carries no IPv6"},
		"ipip over IPv6":    {add(network.IPIP, "s1", "s3", TunnelOptions{Local: addr("fd99::1"), Remote: addr("fd99::3")}), "no IPv6 ends"},
		"families":          {add(network.GRE, "s1", "s3", TunnelOptions{Local: addr("fd99::1"), Remote: addr("10.99.0.3")}), "IPv4 and IPv6 underlay addresses"},
		"end said twice":    {add(network.GRE, "s1:eth0", "s3", TunnelOptions{Local: addr("10.99.0.1")}), "both say where the tunnel ends"},
		"loopback":          {add(network.GRE, "s1", "s3", TunnelOptions{Local: addr("127.0.0.1")}), "not the address of a server"},
		"overlap":           {add(network.GRE, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.4.1/30", "10.0.4.2/30")}), "10.0.4.0/30 (network gre-s1-s3) overlaps 10.0.4.0/24 (network vx1)"},
		"by createnetwork":  {func(c *state.Cluster) error { return done(c, Create(c, "g", network.GRE, option.Options{})) }, "type of tunnels"},
		"third end":         {func(c *state.Cluster) error { return done(c, Join(c, "gre-s1-s2", []string{"s3"})) }, "these two ends for good"},
		"client":            {func(c *state.Cluster) error { return done(c, JoinClients(c, "gre-s1-s2", []string{"s3"})) }, "these two ends for good"},
		"one end less":      {func(c *state.Cluster) error { return Leave(c, "gre-s1-s2", []string{"s2"}) }, "these two ends for good"},
		"share of a third": {func(c *state.Cluster) error {
			return done(c, AddShares(c, "gre-s1-s2", []string{"s3:10.0.12.0/24"}, false))
		}, "not a member"},
		"share of the /30": {func(c *state.Cluster) error {
			return done(c, AddShares(c, "gre-s1-s2", []string{"s1:10.0.6.0/30"}, false))
		}, "overlaps"},
		"IPv6 share": {func(c *state.Cluster) error {
			return done(c, AddShares(c, "gre-s1-s2", []string{"s1:fd11::/64"}, false))
		}, "no IPv6 subnet"},
		"delete a network":  {func(c *state.Cluster) error { return DelTunnel(c, "vx1") }, "no tunnel"},
		"delete the server": {func(c *state.Cluster) error { return DelServer(c, "s2", false) }, "it is a member of gre-s1-s2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := edit.edit(tunneled(t))
			if err == nil || !strings.Contains(err.Error(), edit.want) {
				t.Fatalf("want an error with %q, have %v", edit.want, err)
			}
			if where, next := hint.Of(err); where == "" || next == "" {
				t.Errorf("%v: where %q, next %q", err, where, next)
			}
		})
	}
}

func TestTunnelAddressesAreDealtInOrder(t *testing.T) {
	c := tunneled(t)
	given := TunnelOptions{Name: "mine", Key: number(5), Addresses: prefixes("10.0.6.10/29", "10.0.6.9/29", "fd06::/127", "fd06::1/127")}
	for _, err := range []error{
		done(c, AddTunnel(c, network.GRE, "s2", "s1", given)),
		done(c, AddTunnel(c, network.IPIP, "s1", "s2", TunnelOptions{})),
		done(c, AddTunnel(c, network.GRE, "s3", "s1", TunnelOptions{})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"gre-s1-s2": {"s1 10.0.6.1", "s2 10.0.6.2"}, "mine": {"s2 10.0.6.10 fd06::", "s1 10.0.6.9 fd06::1"},
		"ipip-s1-s2": {"s1 10.0.6.5", "s2 10.0.6.6"}, "gre-s3-s1": {"s3 10.0.6.17", "s1 10.0.6.18"},
	} {
		n := c.Networks[name]
		var have []string
		for _, m := range n.Members {
			text := ground.ServerOf(m)
			for _, a := range n.Allocated[ground.ServerOf(m)].Addrs {
				text += " " + a.String()
			}
			have = append(have, text)
		}
		if !slices.Equal(want, have) {
			t.Errorf("%s: want %q, have %q", name, want, have)
		}
	}
}

// TestTunnelSubnetsGoOn behind the first 64.
func TestTunnelSubnetsGoOn(t *testing.T) {
	c := cluster(t, 2)
	for i := range 65 {
		if err := done(c, AddTunnel(c, network.GRE, "s1", "s2", TunnelOptions{Name: fmt.Sprint("g", i+1), Key: number(int64(i + 1))})); err != nil {
			t.Fatalf("with %d tunnels: %v", i, err)
		}
	}
	if have := c.Networks["g65"].Subnets[0].String(); have != "10.0.7.0/30" {
		t.Errorf("the 65th has %s", have)
	}
}

// TestDeadEndTakesItsTunnels: a server that goes takes its tunnels off the other
// ends.
func TestDeadEndTakesItsTunnels(t *testing.T) {
	c := tunneled(t)
	if err := DelServer(c, "s2", true); err != nil {
		t.Fatal(err)
	}
	if c.Networks["gre-s1-s2"] != nil {
		t.Fatal("the tunnel is still there")
	}
	if text := compiled(t, c)["s1"].Text(); strings.Contains(text, "gre") {
		t.Fatal(text)
	}
}

// TestTunnelSurvivesItsFile: what a file says that is written by hand is what
// addtunnel says, and what was dealt stays.
func TestTunnelSurvivesItsFile(t *testing.T) {
	c := tunneled(t)
	if err := done(c, AddTunnel(c, network.IPIP, "s1", "s3", TunnelOptions{Addresses: prefixes("10.0.6.6/30", "10.0.6.5/30")})); err != nil {
		t.Fatal(err)
	}
	before := compiled(t, c)["s1"].Text()
	wish := c.Clone()
	for _, name := range []string{"gre-s1-s2", "ipip-s1-s3"} {
		n := wish.Networks[name]
		n.Subnets, n.Allocated = nil, nil
	}
	wish.Networks["gre-s1-s2"].Tunnel = false
	if _, err := Replace(c, wish); err != nil {
		t.Fatal(err)
	}
	if after := compiled(t, c)["s1"].Text(); after != before {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
}

// A tunnel that a hand left with one end is refused in words, whatever is done with it.
func TestTunnelOfOneEnd(t *testing.T) {
	for name, edit := range map[string]func(*state.Cluster) error{
		"join":  func(c *state.Cluster) error { return done(c, Join(c, "g", []string{"s3"})) },
		"leave": func(c *state.Cluster) error { return Leave(c, "g", []string{"s1"}) },
		"lead":  func(c *state.Cluster) error { return done(c, JoinLead(c, "g", "s2")) },
	} {
		c := cluster(t, 3)
		c.Networks = map[string]*state.Network{"g": {Type: network.GRE, Members: []string{"s1"}}}
		if err := edit(c); err == nil || !strings.Contains(err.Error(), "two ends, this one has 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
