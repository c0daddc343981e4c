package change

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// lead and clients make a wireguard network.
func lead(c *state.Cluster) error {
	if err := edit.Create(c, "wirex", network.WireGuard, option.Options{}); err != nil {
		return err
	}
	return edit.JoinLead(c, "wirex", "s1")
}

func clients(servers ...string) func(*state.Cluster) error {
	return func(c *state.Cluster) error { return edit.JoinClients(c, "wirex", servers) }
}

func keysOf(c *state.Cluster) map[string]string {
	out := map[string]string{}
	for name, a := range c.Networks["wirex"].Allocated {
		out[name] = a.Key
	}
	return out
}

// only are the lines of a log that have one of words.
func only(log []string, words ...string) []string {
	return slices.DeleteFunc(slices.Clone(log), func(l string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(l, " "+w) })
	})
}

func TestKeysComeFromTheServers(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	f.log = nil
	out := carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	if len(out.Pending) > 0 {
		t.Fatalf("pending: %v", out.Pending)
	}
	have := keysOf(load(t, e))
	for _, name := range []string{"s1", "s2", "s3"} {
		if want := key(name + " key 1"); have[name] != want {
			t.Errorf("%s: want %q, have %q", name, want, have[name])
		}
		for _, p := range f.servers[name].held.Peers {
			if !strings.Contains(p.Key, "/key/1") || strings.HasPrefix(p.Key, name) {
				t.Errorf("%s holds the peer %s", name, p)
			}
		}
		if n := len(f.servers[name].held.Peers); n != 2 {
			t.Errorf("%s: want 2 peers, have %d", name, n)
		}
	}
	last := slices.IndexFunc(f.log, func(l string) bool { return strings.HasSuffix(l, " apply") })
	if late := only(f.log[last:], spec.OpKeys, spec.OpPlan); len(late) > 0 {
		t.Errorf("after the first apply: %v", late)
	}
	f.log = nil
	carry(t, e, Request{All: true})
	if asked := only(f.log, spec.OpKeys, spec.OpApply); len(asked) > 0 {
		t.Errorf("with nothing to do: %v", asked)
	}
}

// A server that was made from another's image has its key: it gets one of its own.
func TestCopiedKeyIsParted(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2")})
	f.servers["s3"].key = key("s2 key 1")
	out := carry(t, e, Request{Edit: clients("s3"), DryRun: true})
	if len(out.Beside) != 1 || !strings.Contains(out.Beside[0].Text, "s3 has a copy of the WireGuard key of s2") {
		t.Errorf("a plan says %v", out.Beside)
	}
	if got := keysOf(out.Cluster)["s3"]; got != "(key of s3, made on apply)" {
		t.Errorf("planned key %q", got)
	}
	out = carry(t, e, Request{Edit: clients("s3")})
	if len(out.Beside) != 1 || !strings.Contains(out.Beside[0].Text, "s3 had a copy of the WireGuard key of s2") || len(out.Pending) > 0 {
		t.Errorf("it says %v, pending are %v", out.Beside, out.Pending)
	}
	if have := keysOf(load(t, e)); have["s2"] != key("s2 key 1") || have["s3"] != key("s3 key 1") {
		t.Errorf("keys: %v", have)
	}
	// Later, too, and whoever comes first by name.
	f.servers["s1"].key, f.servers["s1"].held = key("s3 key 1"), nil
	carry(t, e, Request{All: true})
	if have := keysOf(load(t, e)); have["s1"] != key("s1 key 2") || have["s3"] != key("s3 key 1") {
		t.Errorf("after s1 was made anew from s3: %v", have)
	}
}

func TestDryRunMakesNoKey(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: lead})
	f.log = nil
	out := carry(t, e, Request{Edit: clients("s2"), DryRun: true})
	if asked := only(f.log, spec.OpKeys, spec.OpApply); len(asked) > 0 || f.servers["s2"].made > 0 {
		t.Errorf("a dry run asked %v, made %d keys", asked, f.servers["s2"].made)
	}
	if got := keysOf(out.Cluster)["s2"]; got != "(key of s2, made on apply)" {
		t.Errorf("planned key %q", got)
	}
	if got, want := states(out), "s1 planned, s2 planned"; got != want {
		t.Errorf("want %s, have %s", want, got)
	}
	if c := load(t, e); len(c.Networks["wirex"].Members) != 1 {
		t.Errorf("the file has %v", c.Networks["wirex"].Members)
	}
}

func TestAwayMemberIsNobodysPeer(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	f.servers["s3"].away = true
	out := carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	if !slices.Equal(out.Pending, []string{"s3"}) {
		t.Fatalf("pending: %v", out.Pending)
	}
	for _, name := range []string{"s1", "s2"} {
		if n := len(f.servers[name].held.Peers); n != 1 {
			t.Errorf("%s: want 1 peer, have %d", name, n)
		}
	}
	f.servers["s3"].away = false
	out = carry(t, e, Request{All: true})
	if len(out.Pending) > 0 || len(f.servers["s1"].held.Peers) != 2 || len(f.servers["s3"].held.Peers) != 2 {
		t.Fatalf("pending %v, s1 holds %v", out.Pending, f.servers["s1"].held.Peers)
	}
}

// TestServerSetUpAnew: its pair is gone, what it says now holds, for the others
// too.
func TestServerSetUpAnew(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2")})
	f.servers["s2"].held, f.servers["s2"].key = nil, ""
	looks := map[string]func() (*Outcome, error){
		"a plan": func() (*Outcome, error) { return e.Run(t.Context(), Request{All: true, DryRun: true}) },
		"status": func() (*Outcome, error) { return e.Status(t.Context(), nil, nil) },
	}
	for what, look := range looks {
		out, err := look()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := states(out), "s1 planned, s2 planned"; got != want {
			t.Errorf("%s: want %s, have %s", what, want, got)
		}
		if got, want := keysOf(out.Cluster)["s2"], spec.PlannedKey("s2"); got != want {
			t.Errorf("%s: the key of s2: want %s, have %s", what, want, got)
		}
	}
	out := carry(t, e, Request{All: true})
	if len(out.Pending) > 0 {
		t.Fatalf("pending: %v", out.Pending)
	}
	if p := f.servers["s1"].held.Peers; len(p) != 1 || p[0].Key != key("s2 key 2") {
		t.Fatalf("s1 holds %v", p)
	}
}

func TestRotationTurnsTheServerFirst(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2", "s3")})
	rotate := Request{Rotate: []Rotation{{"wirex", "s2"}}, Contact: []string{"s2"}}
	f.log = nil
	out := carry(t, e, rotate)
	if len(out.Pending) > 0 {
		t.Fatalf("pending: %v", out.Pending)
	}
	if asked, want := only(f.log, spec.OpKeys), []string{"s2 keys"}; !slices.Equal(asked[:1], want) {
		t.Errorf("asked for keys: %v", asked)
	}
	turned := only(f.log, spec.OpApply, spec.OpConfirm)
	if !slices.Equal(turned[:2], []string{"s2 apply", "s2 confirm"}) || len(turned) != 6 {
		t.Errorf("want s2 to turn before the others do, have %v", turned)
	}
	if have := keysOf(load(t, e)); have["s2"] != key("s2 key 2") || have["s1"] != key("s1 key 1") || have["s3"] != key("s3 key 1") {
		t.Errorf("keys: %v", have)
	}
	for _, p := range f.servers["s1"].held.Peers {
		if p.Key == key("s2 key 1") {
			t.Error("s1 still knows the old key")
		}
	}
}

func TestRotationThatFailsTurnsNobody(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2")})
	f.servers["s2"].broken = "the device is busy"
	f.log = nil
	out := carry(t, e, Request{Rotate: []Rotation{{"wirex", "s2"}}, Contact: []string{"s2"}})
	if got, want := states(out), "s1 failed, s2 undone"; got != want {
		t.Errorf("want %s, have %s", want, got)
	}
	if turned := only(f.log, spec.OpApply); !slices.Equal(turned, []string{"s2 apply"}) {
		t.Errorf("applied: %v", turned)
	}
	// The server still has its old key; the next apply finds out.
	f.servers["s2"].broken, f.servers["s2"].key = "", key("s2 key 1")
	if out = carry(t, e, Request{All: true}); len(out.Pending) > 0 {
		t.Fatalf("pending: %v", out.Pending)
	}
	if have := keysOf(load(t, e))["s2"]; have != key("s2 key 1") {
		t.Errorf("s2 has %s", have)
	}
}

func TestRotationRefusals(t *testing.T) {
	c := &state.Cluster{Networks: map[string]*state.Network{
		"vx1":   {Type: network.VXLAN},
		"wirex": {Type: network.WireGuard},
	}}
	for want, r := range map[string]Rotation{
		"unknown network":  {"w9", "s1"},
		"has no keys":      {"vx1", "s1"},
		"is not a member ": {"wirex", "s1"},
	} {
		if err := CheckRotation(c, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, have %v", want, err)
		}
	}
}
