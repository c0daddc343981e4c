package network

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// TestNobodyIsStranded: what others stand in goes after them.
func TestNobodyIsStranded(t *testing.T) {
	bnet := &state.Network{Type: BGP, Members: []string{"s1:10.0.8.1", "s2:10.0.8.2"}}
	wirex := &state.Network{Type: WireGuard, Members: []string{"s1", "s2", "s3"}}
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
		if err := Complete(c); err != nil {
			t.Fatal(err)
		}
		before := Carried(c)
		if len(before) != 2 || before[1] != (Standing{"bnet", "s2:10.0.8.2", "wirex"}) {
			t.Fatalf("carried: %v", before)
		}
		if err := test.edit(c); err != nil {
			t.Fatal(name, err)
		}
		err := StillCarried(c, before)
		if _, next := hint.Of(err); (err != nil) != (test.next != "") || next != test.next || err != nil && !strings.Contains(err.Error(), "bnet stands in wirex") {
			t.Errorf("%s: want next %q, have %q: %v", name, test.next, next, err)
		}
	}
}
