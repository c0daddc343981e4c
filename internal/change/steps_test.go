package change

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// speaks is what the server's BGP daemon says when all neighbours of its confirmed
// spec are up, each having told what it shares.
func (a *agent) speaks() *spec.BGPStatus {
	out := &spec.BGPStatus{}
	if a.s.held == nil || a.s.held.BGP == nil || a.f.mute {
		return out
	}
	told := map[netip.Prefix]bool{}
	for _, n := range a.s.held.BGP.Neighbors {
		out.Neighbors = append(out.Neighbors, spec.BGPNeighborStatus{Addr: n.Addr, Name: n.Name, State: spec.BGPEstablished, Received: 9})
	}
	for _, s := range a.f.servers {
		if s.held == nil || s.held.BGP == nil {
			continue
		}
		for _, p := range s.held.BGP.Prefixes {
			if !told[p] {
				told[p] = true
				out.Routes = append(out.Routes, spec.BGPRoute{Prefix: p, Local: s == a.s, Kernel: s != a.s})
			}
		}
	}
	return out
}

// oneGeneration does something and expects it to be one generation, which can be gone
// back from.
func oneGeneration(t *testing.T, e *Engine, do func()) {
	t.Helper()
	before := load(t, e).Generation
	do()
	if after := load(t, e).Generation; after != before+1 {
		t.Errorf("want generation %d, have %d", before+1, after)
	}
	if _, err := e.Store.At(before); err != nil {
		t.Error(err)
	}
}

// rotation turns the keys of servers.
func rotation(servers ...string) Request {
	r := Request{Networks: []string{"wirex"}, Contact: servers[:1]}
	for _, name := range servers {
		r.Rotate = append(r.Rotate, Rotation{"wirex", name})
	}
	return r
}

// All keys turn in one generation, one after the other, on one session a server.
func TestRotationIsOneGeneration(t *testing.T) {
	f, e := world(t, 4)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2", "s3", "s4")})
	f.log, f.dialed = nil, 0
	oneGeneration(t, e, func() {
		out := carry(t, e, rotation("s1", "s2", "s3", "s4"))
		if got, want := states(out), "s1 done, s2 done, s3 done, s4 done"; got != want || len(out.Pending) > 0 {
			t.Errorf("want %s, have %s, pending %v", want, got, out.Pending)
		}
		for _, s := range out.Servers {
			if len(s.Report.Steps) < 4 {
				t.Errorf("%s: want the steps of every turn, have %v", s.Name, s.Report.Steps)
			}
		}
	})
	if f.dialed != 4 {
		t.Errorf("want 4 connections, have %d", f.dialed)
	}
	for name, has := range keysOf(load(t, e)) {
		if has != key(name+" key 2") {
			t.Errorf("%s has %s", name, has)
		}
	}
	var turned []string
	for _, l := range only(f.log, spec.OpApply) {
		name, _, _ := strings.Cut(l, " ")
		turned = append(turned, name)
	}
	for i, want := range []string{"s1", "s2", "s3", "s4"} {
		if turned[4*i] != want {
			t.Errorf("turn %d: want %s before the others, have %v", i, want, turned[4*i:4*i+4])
		}
	}
}

// A server that does not answer ends the turns; what was turned is said.
func TestRotationEndsAtWhoIsAway(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2", "s3")})
	f.servers["s2"].away = true
	touched := 0
	e.Touching = func() { touched++ }
	out, err := e.Run(t.Context(), rotation("s1", "s2", "s3"))
	if !errors.Is(err, remote.ErrUnreachable) || touched == 0 || out == nil || out.Servers[0].State != Done {
		t.Errorf("want what was done and the error of s2, have %+v, %v", out, err)
	}
	if have := keysOf(load(t, e)); have["s1"] != key("s1 key 2") || have["s2"] != key("s2 key 1") || have["s3"] != key("s3 key 1") {
		t.Errorf("keys: %v", have)
	}
}

// An interrupt between two turns leaves a file that an apply finishes.
func TestRotationInterrupted(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2", "s3")})
	ctx, cancel := context.WithCancel(t.Context())
	applied := 0
	e.Touching = func() {
		if applied++; applied == 2 { // s1 has turned, the others learn of it
			cancel()
		}
	}
	if out, err := e.Run(ctx, rotation("s1", "s2", "s3")); err == nil && len(out.Pending) == 0 {
		t.Error("want an error, or who is pending")
	}
	e.Touching = nil
	if out := carry(t, e, Request{Edit: network.Complete, All: true}); len(out.Pending) > 0 {
		t.Errorf("pending: %v", out.Pending)
	}
	c := load(t, e)
	for name, s := range f.servers {
		if s.held.Sum() != c.Servers[name].Confirmed.Sum || keysOf(c)[name] != s.key {
			t.Errorf("%s holds another spec or key than the file says", name)
		}
	}
}

// A full mesh ends when everything is heard by the reflectors, not before; both are one
// generation.
func TestReflectorsTakeOverWhenTheyAreHeard(t *testing.T) {
	f, e := world(t, 3)
	speaks(t, e, 3)
	e.wait = 10 * time.Millisecond
	reflect := Request{
		Edit:  func(c *state.Cluster) error { return edit.AddReflectors(c, "bnet", []string{"s1"}) },
		Await: &Await{Networks: []string{"bnet"}},
	}
	dry := reflect
	dry.DryRun = true
	if out := carry(t, e, dry); out.Cluster.Networks["bnet"].Before != nil {
		t.Error("a dry run shows the way, not the end")
	}
	f.mute = true
	out := carry(t, e, reflect)
	if load(t, e).Networks["bnet"].Before == nil || len(out.Unheard) == 0 {
		t.Errorf("nothing is heard: want the sessions of before, have %v", out.Unheard)
	}
	if out := carry(t, e, Request{DryRun: true, All: true, Await: &Await{}}); out.Cluster.Networks["bnet"].Before != nil {
		t.Error("a plan does not foresee that the sessions of before end")
	}
	f.mute = false
	oneGeneration(t, e, func() {
		if out := carry(t, e, reflect); load(t, e).Networks["bnet"].Before != nil || len(out.Unheard)+len(out.Pending) > 0 {
			t.Errorf("all is heard: %v, pending %v", out.Unheard, out.Pending)
		}
	})
	f.dialed = 0
	oneGeneration(t, e, func() {
		back := reflect
		back.Edit = func(c *state.Cluster) error { return edit.DelReflectors(c, "bnet", []string{"s1"}) }
		if out := carry(t, e, back); load(t, e).Networks["bnet"].Before != nil || len(out.Pending) > 0 {
			t.Errorf("and back: pending %v", out.Pending)
		}
	})
	if f.dialed != 3 {
		t.Errorf("want one connection a server, have %d", f.dialed)
	}
}

// What nobody shares any more is waited for, and nothing else.
func TestOnlyWhatGoesIsForgotten(t *testing.T) {
	_, e := world(t, 3)
	speaks(t, e, 3)
	for want, edit := range map[string]func(*state.Cluster) error{
		"[10.1.2.0/24]": func(c *state.Cluster) error { return edit.UnshareBGP(c, "bnet", []string{"s2:10.1.2.0/24"}) },
		"[10.1.3.0/24]": func(c *state.Cluster) error { return edit.LeaveBGP(c, "bnet", []string{"s3"}) },
		"[]":            func(c *state.Cluster) error { return edit.AddReflectors(c, "bnet", []string{"s1"}) },
	} {
		r, err := e.begin(t.Context(), Request{Edit: edit, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, p := range r.forgotten("bnet") {
			texts = append(texts, p.String())
		}
		if have := "[" + strings.Join(texts, " ") + "]"; have != want {
			t.Errorf("want %s gone, have %s", want, have)
		}
	}
}

// Ctrl-C while sessions are awaited is an error after the change.
func TestInterruptWhileSessionsAreAwaited(t *testing.T) {
	f, e := world(t, 2)
	speaks(t, e, 1)
	f.mute = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	touched := false
	e.Touching = func() { touched = true }
	e.Progress = func(ev Event) {
		if ev.Done && ev.Line == "done" {
			cancel()
		}
	}
	join := func(c *state.Cluster) error { return edit.JoinBGP(c, "bnet", []string{"s2"}) }
	out, err := e.Run(ctx, Request{Edit: join, Await: &Await{Networks: []string{"bnet"}}})
	if !errors.Is(err, context.Canceled) || !touched || out == nil || !out.Saved {
		t.Errorf("want an interrupt after the change, have %+v, %v", out, err)
	}
}

func leaves(name string) Request {
	return Request{
		Edit:   func(c *state.Cluster) error { return edit.Strip(c, name) },
		Retire: func() []string { return []string{name} },
	}
}

// A server that leaves is cleaned when nothing stands on it any more, and then its
// entry goes: one generation.
func TestLeavingIsOneGeneration(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	dry := leaves("s2")
	dry.DryRun = true
	if out := carry(t, e, dry); !slices.Equal(out.Leaving, []string{"server s2"}) || states(out) != "s1 planned, s2 planned" {
		t.Errorf("a dry run: %s leaves, %s", out.Leaving, states(out))
	}
	f.log, f.dialed = nil, 0
	oneGeneration(t, e, func() {
		out := carry(t, e, leaves("s2"))
		if got, want := states(out), "s1 done, s2 done"; got != want || len(out.Pending)+len(out.Stayed) > 0 {
			t.Errorf("want %s, have %s, pending %v, %v", want, got, out.Pending, out.Stayed)
		}
	})
	if load(t, e).Servers["s2"] != nil || f.servers["s2"].held != nil || f.dialed != 2 {
		t.Errorf("the entry: %v, on the server: %v, %d connections", load(t, e).Servers["s2"], f.servers["s2"].held, f.dialed)
	}
	if last := f.log[len(f.log)-1]; last != "s2 "+spec.OpPurge {
		t.Errorf("want the purge at last, have %v", f.log)
	}
}

// One that is away stays and is pending, but where it is forced.
func TestLeavingOfOneThatIsAway(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["s2"].away = true
	if out := carry(t, e, leaves("s2")); load(t, e).Servers["s2"] == nil || !slices.Equal(out.Pending, []string{"s2"}) {
		t.Errorf("want s2 pending, have %v", out.Pending)
	}
	forced := leaves("s2")
	forced.Force = true
	out := carry(t, e, forced)
	if load(t, e).Servers["s2"] != nil || len(out.Pending) > 0 || len(out.Stayed) != 1 || len(out.Servers) > 0 && out.Servers[0].Err != nil {
		t.Errorf("want s2 gone and said, have %s, %v", states(out), out.Stayed)
	}
}

// What a server says is no reason to keep it where that is forced.
func TestForcedLeavingOfOneThatRefuses(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["s2"].problem = "belongs to another cluster file"
	if _, err := e.Run(t.Context(), leaves("s2")); err == nil || load(t, e).Servers["s2"] == nil {
		t.Errorf("want its refusal, have %v", err)
	}
	forced := leaves("s2")
	forced.Force = true
	if out := carry(t, e, forced); load(t, e).Servers["s2"] != nil || f.servers["s2"].held != nil || len(out.Stayed) > 0 {
		t.Errorf("%s, %v", states(out), out.Stayed)
	}
}

// A dry run names what leaves the file alone: an empty network has no server.
func TestEmptyNetworkLeaves(t *testing.T) {
	_, e := world(t, 1)
	carry(t, e, Request{Edit: create})
	out := carry(t, e, Request{DryRun: true, Edit: func(c *state.Cluster) error { return edit.Remove(c, "vx1") }})
	if !slices.Equal(out.Leaving, []string{"network vx1"}) || len(out.Servers) > 0 {
		t.Errorf("leaving: %v", out.Leaving)
	}
}

// Behind are the servers that never confirmed what the file asks for; one whose facts
// moved since is none of them.
func TestMovedFactsAreDrift(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["s3"].away = true
	carry(t, e, Request{Edit: join("s3")})
	f.servers["s3"].away = false
	f.servers["s2"].mtu = 1400
	out, err := e.Status(t.Context(), nil, nil)
	if err != nil || !slices.Equal(out.Behind, []string{"s3"}) || !slices.Equal(out.Pending, []string{"s1", "s2", "s3"}) {
		t.Errorf("want s3 behind of all three, have %v of %v, %v", out.Behind, out.Pending, err)
	}
	if out, err = e.Status(t.Context(), nil, []string{"s1"}); err != nil || states(out) != "s1 unchanged" {
		t.Errorf("one server: %v, %v", states(out), err)
	}
}
