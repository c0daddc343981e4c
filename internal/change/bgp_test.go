package change

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/peering"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// speaks makes a BGP network of the world's first n servers, each with a share.
func speaks(t *testing.T, e *Engine, n int) {
	t.Helper()
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		if err := edit.CreateBGP(c, "bnet", "s1", edit.BGPOptions{}); err != nil {
			return err
		}
		for i := range n {
			name := fmt.Sprintf("s%d", i+1)
			if err := edit.JoinBGP(c, "bnet", []string{name}); err != nil {
				return err
			}
			if err := edit.ShareBGP(c, "bnet", []string{fmt.Sprintf("%s:10.1.%d.0/24", name, i+1)}, false, false); err != nil {
				return err
			}
		}
		return nil
	}})
}

// TestSpeakersGetTheirAgentAtFirst: what a server that nobody looked at yet is to be
// cannot be compiled, and it needs the daemon's program all the same.
func TestSpeakersGetTheirAgentAtFirst(t *testing.T) {
	f, e := world(t, 2)
	f.agents = nil
	carry(t, e, Request{All: true, Edit: func(c *state.Cluster) error {
		for _, s := range c.Servers {
			s.Facts = nil
		}
		return edit.CreateBGP(c, "bnet", "s1", edit.BGPOptions{})
	}})
	slices.Sort(f.agents)
	if want := []string{"s1 bgp", "s2 "}; !slices.Equal(f.agents, want) {
		t.Errorf("want the agents %q, have %q", want, f.agents)
	}
}

// A secret goes to the server that needs it, when it applies.
func TestSecretsGoWhereTheyAreNamed(t *testing.T) {
	f, e := world(t, 3)
	speaks(t, e, 3)
	id, as := "abc", uint32(65001)
	add := func(c *state.Cluster) error {
		return edit.AddExternal(c, "bnet", "s2", netip.MustParseAddr("192.0.2.254"), edit.ExternalOptions{AS: &as, Password: &id})
	}
	carry(t, e, Request{Edit: add, Secrets: map[string]string{id: "horse"}, DryRun: true})
	if len(f.secrets) > 0 {
		t.Errorf("a plan carries %v", f.secrets)
	}
	carry(t, e, Request{Edit: add, Secrets: map[string]string{id: "horse"}})
	if have := fmt.Sprint(f.secrets); have != "map[s2:map[abc:horse]]" {
		t.Errorf("want the secret on s2 alone, have %s", have)
	}
	if !strings.Contains(strings.Join(f.announced, " "), "s2:abc") {
		t.Errorf("the plan knows of none: %v", f.announced)
	}
}

// Daemons are asked until what is awaited is there, those that are away once.
func TestBGPIsAskedUntilContent(t *testing.T) {
	f, e := world(t, 3)
	speaks(t, e, 3)
	f.servers["s3"].away = true
	rounds := 0
	until := func(list []Speaker) bool {
		rounds++
		if list[0].Status == nil || list[1].Server != "s2" || list[2].Err == nil {
			t.Errorf("round %d: %v", rounds, list)
		}
		return rounds == 3
	}
	dialed := f.dialed
	if _, err := e.BGP(t.Context(), []string{"s1", "s2", "s3"}, until, time.Minute); err != nil || rounds != 3 {
		t.Errorf("want three rounds, have %d, %v", rounds, err)
	}
	if f.dialed-dialed != 3 {
		t.Errorf("want one connection to each, have %d", f.dialed-dialed)
	}
	if _, err := e.BGP(t.Context(), []string{"s1"}, func([]Speaker) bool { return false }, time.Millisecond); err != nil {
		t.Errorf("time is over: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.BGP(ctx, []string{"s1"}, func([]Speaker) bool { return false }, time.Minute); err == nil {
		t.Error("an interrupt is no error")
	}
}

func TestUnheard(t *testing.T) {
	_, e := world(t, 3)
	speaks(t, e, 3)
	c, err := e.Store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := network.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	gone := netip.MustParsePrefix("10.9.0.0/24")
	whole := func() []Speaker {
		var out []Speaker
		for i := 1; i <= 3; i++ {
			s := &spec.BGPStatus{}
			for j := 1; j <= 3; j++ {
				r := spec.BGPRoute{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.1.%d.0/24", j)), Local: i == j, Kernel: i != j}
				s.Routes = append(s.Routes, r)
				if i != j {
					s.Neighbors = append(s.Neighbors, spec.BGPNeighborStatus{
						Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(j)}), Name: fmt.Sprintf("s%d", j), State: spec.BGPEstablished, Received: 1,
					})
				}
			}
			out = append(out, Speaker{Server: fmt.Sprintf("s%d", i), Status: s})
		}
		return out
	}
	for _, test := range []struct {
		name string
		do   func([]Speaker)
		want string
	}{
		{"all is there", func([]Speaker) {}, ""},
		{"a daemon is not", func(s []Speaker) { s[1].Status = nil }, "s2: no BGP daemon answers"},
		{"a server is away", func(s []Speaker) {
			s[1] = Speaker{Server: "s2", Err: context.DeadlineExceeded}
			s[0].Status.Neighbors[0].State = spec.BGPActive
			s[0].Status.Routes = s[0].Status.Routes[:1:1]
			s[0].Status.Routes = append(s[0].Status.Routes, spec.BGPRoute{Prefix: netip.MustParsePrefix("10.1.3.0/24"), Kernel: true})
		}, ""},
		{"a session is down", func(s []Speaker) { s[0].Status.Neighbors[1].State = spec.BGPActive }, "s1: the session with s3 is Active"},
		{"a session says why", func(s []Speaker) {
			s[0].Status.Neighbors[1] = spec.BGPNeighborStatus{Addr: s[0].Status.Neighbors[1].Addr, Name: "s3", State: spec.BGPIdle, Why: "no answer", Received: 1}
		}, "is Idle: no answer"},
		{"a session is not there", func(s []Speaker) { s[2].Status.Neighbors = nil }, "s3: the session with s1 is not there yet"},
		{"the kernel has it not yet", func(s []Speaker) { s[0].Status.Routes[1].Kernel = false }, "s1 has no route to 10.1.2.0/24 of s2"},
		{"the kernel cannot have it", func(s []Speaker) { s[0].Status.Routes[1].Kernel, s[0].Status.Routes[1].Why = false, "apart" }, ""},
		{"less was heard", func(s []Speaker) { s[0].Status.Neighbors[0].Received = 0 }, "s1 has not heard all of s2"},
		{"what went is there", func(s []Speaker) {
			s[0].Status.Routes = append(s[0].Status.Routes, spec.BGPRoute{Prefix: gone, Kernel: true})
		}, "s1 still has a route to 10.9.0.0/24"},
	} {
		list := whole()
		test.do(list)
		have := strings.Join(peering.Unheard(c.Networks["bnet"], compiled.Hosts, []netip.Prefix{gone}, list), "\n")
		if (have == "") != (test.want == "") || !strings.Contains(have, test.want) {
			t.Errorf("%s: want %q, have %q", test.name, test.want, have)
		}
	}
}

// Looking at servers asks their daemons too.
func TestStatusAsksTheDaemons(t *testing.T) {
	_, e := world(t, 2)
	speaks(t, e, 1)
	out, err := e.Status(t.Context(), nil, nil)
	if err != nil || out.Servers[0].BGP == nil || out.Servers[1].BGP != nil {
		t.Errorf("want the daemon of s1, have %v, %v", out, err)
	}
}

// TestCarrierStays: what a network stands in is not taken away below it.
func TestCarrierStays(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "wirex", network.WireGuard, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error {
		return errors.Join(edit.JoinLead(c, "wirex", "s1"), edit.JoinClients(c, "wirex", []string{"s2"}))
	}})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.CreateBGP(c, "bnet", "s2:10.0.8.2", edit.BGPOptions{}) }})
	dialed := f.dialed
	_, err := e.Run(t.Context(), Request{Edit: func(c *state.Cluster) error { return edit.Remove(c, "wirex") }})
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "bnet stands in wirex") || f.dialed != dialed {
		t.Errorf("%d connections, %v", f.dialed-dialed, err)
	}
}
