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
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/state"
)

// wirex is n servers, the first of which leads a network and the second of which
// is its client and shares a subnet.
func wirex(t *testing.T, n int) *state.Cluster {
	t.Helper()
	c := cluster(t, n)
	for _, err := range []error{
		done(c, Create(c, "wirex", network.WireGuard, option.Options{})),
		done(c, JoinLead(c, "wirex", "s1")),
		done(c, JoinClients(c, "wirex", []string{"s2"})),
		done(c, AddShares(c, "wirex", []string{"s2:10.0.11.0/24"}, false)),
		done(c, Create(c, "vx1", network.VXLAN, option.Options{})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestRoleRefusals(t *testing.T) {
	for name, edit := range map[string]struct {
		edit func(*state.Cluster) error
		want string
	}{
		"plain join":       {func(c *state.Cluster) error { return done(c, Join(c, "wirex", []string{"s3"})) }, "server, client or subnet"},
		"plain leave":      {func(c *state.Cluster) error { return Leave(c, "wirex", []string{"s2"}) }, "server, client or subnet"},
		"second lead":      {func(c *state.Cluster) error { return done(c, JoinLead(c, "wirex", "s3")) }, "has a lead server already, s1"},
		"lead of vxlan":    {func(c *state.Cluster) error { return done(c, JoinLead(c, "vx1", "s3")) }, "no lead server"},
		"clients of vxlan": {func(c *state.Cluster) error { return done(c, JoinClients(c, "vx1", []string{"s3"})) }, "no clients"},
		"shares of vxlan":  {func(c *state.Cluster) error { return done(c, AddShares(c, "vx1", []string{"s1:10.0.20.0/24"}, false)) }, "no shared subnets"},
		"lead as client":   {func(c *state.Cluster) error { return done(c, JoinClients(c, "wirex", []string{"s1"})) }, "is the lead server there"},
		"lead leaves":      {func(c *state.Cluster) error { return LeaveClients(c, "wirex", []string{"s1"}) }, "only with the network"},
		"lead deleted":     {func(c *state.Cluster) error { return DelServer(c, "s1", true) }, "only with the network"},
		"unknown server":   {func(c *state.Cluster) error { return done(c, JoinClients(c, "wirex", []string{"s9"})) }, "unknown server s9"},
		"share of nobody": {func(c *state.Cluster) error {
			return done(c, AddShares(c, "wirex", []string{"s9:10.0.20.0/24"}, false))
		}, "unknown server s9"},
		"share of no member": {func(c *state.Cluster) error {
			return done(c, AddShares(c, "wirex", []string{"s3:10.0.20.0/24"}, false))
		}, "not a member"},
		"IPv6 share":         {func(c *state.Cluster) error { return done(c, AddShares(c, "wirex", []string{"s2:fd00::/64"}, false)) }, "no IPv6 subnet"},
		"everything":         {func(c *state.Cluster) error { return done(c, AddShares(c, "wirex", []string{"s2:0.0.0.0/0"}, false)) }, "cannot be shared"},
		"half of all":        {func(c *state.Cluster) error { return done(c, AddShares(c, "wirex", []string{"s2:128.0.0.0/1"}, false)) }, "half of all addresses"},
		"an eighth of all":   {func(c *state.Cluster) error { return done(c, AddShares(c, "wirex", []string{"s2:160.0.0.0/3"}, false)) }, "an eighth of all addresses"},
		"share of a segment": {func(c *state.Cluster) error { return done(c, AddShares(c, "wirex", []string{"s2:10.0.4.0/24"}, false)) }, "overlaps"},
		"client before lead": {func(c *state.Cluster) error {
			if err := done(c, Create(c, "w2", network.WireGuard, option.Options{})); err != nil {
				return err
			}
			return done(c, JoinClients(c, "w2", []string{"s1"}))
		}, "no lead server yet"},
		"topology": {func(c *state.Cluster) error {
			return done(c, Create(c, "w2", network.WireGuard, option.Options{"topology": "ring"}))
		}, "unknown topology"},
		"keepalive": {func(c *state.Cluster) error {
			return done(c, Create(c, "w2", network.WireGuard, option.Options{"keepalive": int64(70000)}))
		}, "out of range"},
		"topology of vxlan": {func(c *state.Cluster) error {
			return done(c, Create(c, "v2", network.VXLAN, option.Options{"topology": "hub"}))
		}, "no --topology"},
		"group of l2": {func(c *state.Cluster) error {
			return done(c, Create(c, "v2", network.L2, option.Options{"group": netip.MustParseAddr("239.0.0.1")}))
		}, "neither multicast group"},
		"endpoint behind NAT": {func(c *state.Cluster) error {
			return AddServer(c, "s9", state.Server{NAT: true, Endpoint: "vpn.example.org"})
		}, "--nat"},
		"odd endpoint": {func(c *state.Cluster) error { return AddServer(c, "s9", state.Server{Endpoint: "a b:1"}) }, "DNS name"},
	} {
		t.Run(name, func(t *testing.T) {
			err := edit.edit(wirex(t, 3))
			if err == nil || !strings.Contains(err.Error(), edit.want) {
				t.Fatalf("want an error with %q, have %v", edit.want, err)
			}
			if where, next := hint.Of(err); where == "" || next == "" {
				t.Errorf("%v: where %q, next %q", err, where, next)
			}
		})
	}
}

func TestClientTakesItsSharesAlong(t *testing.T) {
	c := wirex(t, 2)
	if err := LeaveClients(c, "wirex", []string{"s2"}); err != nil {
		t.Fatal(err)
	}
	if n := c.Networks["wirex"]; len(n.Shares) != 0 || len(n.Allocated) != 1 {
		t.Fatalf("left behind: %v, %v", n.Shares, n.Allocated)
	}
	for name, h := range compiled(t, c) {
		if strings.Contains(h.Text(), "10.0.11.0") {
			t.Errorf("%s still mentions the share:\n%s", name, h.Text())
		}
	}
}

// TestJoiningTouchesOnlyTheNewPeer: what the others had among themselves stays as
// it was, peer by peer, and addresses do not move.
func TestJoiningTouchesOnlyTheNewPeer(t *testing.T) {
	for _, topology := range []string{state.Mesh, state.Hub} {
		rnd := seed.New(t)
		c := cluster(t, 20)
		if err := done(c, Create(c, "wirex", network.WireGuard, option.Options{"topology": topology})); err != nil {
			t.Fatal(err)
		}
		if err := done(c, JoinLead(c, "wirex", "s1")); err != nil {
			t.Fatal(err)
		}
		n := c.Networks["wirex"]
		for range 200 {
			for name, a := range n.Allocated {
				a.Key = "key of " + name
			}
			before := compiled(t, c)
			server := fmt.Sprintf("s%d", 2+rnd.IntN(19))
			edit := LeaveClients
			if !ground.HasMember(n, server) {
				edit = JoinClients
			}
			if err := done(c, edit(c, "wirex", []string{server})); err != nil {
				t.Fatal(err)
			}
			if a := n.Allocated[server]; a != nil {
				a.Key = "key of " + server
			}
			for name, h := range compiled(t, c) {
				if name == server {
					continue
				}
				var was, is []string
				for _, p := range before[name].Peers {
					if p.Key != "key of "+server {
						was = append(was, p.String())
					}
				}
				for _, p := range h.Peers {
					if p.Key != "key of "+server {
						is = append(is, p.String())
					}
				}
				if w, h := strings.Join(was, "\n"), strings.Join(is, "\n"); w != h {
					t.Fatalf("%s: %s came or went, and the others changed:\n%s\n\n%s", name, server, w, h)
				}
			}
		}
	}
}

// A dead lead is followed by the member that joined next, which keeps its address.
func TestDeadLeadIsFollowed(t *testing.T) {
	c := made(t, network.WireGuard, nil)
	was := c.Clone().Networks["n1"].Allocated["s2"].Addrs
	if err := done(c, ForceOut(c, "n1", []string{"s1"})); err != nil {
		t.Fatal(err)
	}
	if n := c.Networks["n1"]; n.Lead != "s2" || len(n.Members) != 2 || !slices.Equal(n.Allocated["s2"].Addrs, was) {
		t.Errorf("lead %s of %v, s2 had %v", n.Lead, n.Members, was)
	}
	if err := ForceOut(c.Clone(), "n1", []string{"s2", "s3"}); err == nil || !strings.Contains(err.Error(), "without a lead") {
		t.Errorf("all go: %v", err)
	}
	if err := ForceOut(c, "n9", []string{"s2"}); err != nil {
		t.Errorf("no network: %v", err)
	}
}
