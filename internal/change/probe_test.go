package change

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// probe notes what was tried, and that an address or keys do not answer, or the first of all
// not the first time.
func (f *fleet) probe(name string, r *spec.Request) *spec.Reply {
	reply := &spec.Reply{}
	for _, p := range r.Probes {
		f.tried = append(f.tried, name+" "+p.To.String())
		if f.drops > 0 {
			f.drops--
			reply.Unheard = append(reply.Unheard, p)
			continue
		}
		if p.To.String() == f.hushed || p.From.String() == f.hushed || p.Key != "" && f.deaf != "" && strings.HasPrefix(p.Key, f.deaf) {
			reply.Unheard = append(reply.Unheard, p)
		}
	}
	return reply
}

// takeTried are the ways that were tried since the last call, sorted.
func (f *fleet) takeTried() string {
	out := slices.Sorted(slices.Values(f.tried))
	f.tried = nil
	return strings.Join(out, ", ")
}

// Members that do not hear each other are said when they meet, and again each time
// that somebody looks; a change that makes no way tries none.
func TestDeadWaysAreSaidEachTime(t *testing.T) {
	f, e := world(t, 3)
	make := func(c *state.Cluster) error { return edit.Create(c, "vx1", network.VXLAN, option.Options{}) }
	join := func(members ...string) Request {
		return Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "vx1", members) }, Networks: []string{"vx1"}}
	}
	carry(t, e, Request{Edit: make})
	if out := carry(t, e, join("s1", "s2")); len(out.Silent) > 0 || f.takeTried() != "s1 10.0.4.253" {
		t.Errorf("said %v, tried %v", out.Silent, f.tried)
	}
	for _, name := range []string{"s1", "s2"} {
		f.servers[name].step = "fdb 00:00:00:00:00:00 dev vxl0-vx"
	}
	f.hushed = "10.0.4.254"
	out := carry(t, e, join("s3"))
	if have := f.takeTried(); have != "s1 10.0.4.252, s3 10.0.4.253, s3 10.0.4.254" {
		t.Errorf("the newcomer tries, then who did not answer tries it, have %s", have)
	}
	if len(out.Silent) != 1 || !strings.Contains(out.Silent[0].Text, "no answer: s3 with s1 (UDP 4789)") || len(out.Pending) > 0 {
		t.Errorf("have %v, pending %v", out.Silent, out.Pending)
	}
	f.hushed = "10.0.4.252"
	for range 2 {
		out, err := e.Status(t.Context(), []string{"vx1"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := ground.Note{Network: "vx1", Text: "no answer: s2 with s3 (UDP 4789), s3 with s1 (UDP 4789); does every firewall on the way let it pass?", Amiss: true}
		if len(out.Silent) != 1 || out.Silent[0] != want {
			t.Errorf("want %v, have %v", want, out.Silent)
		}
		if have := f.takeTried(); have != "s1 10.0.4.252, s1 10.0.4.253, s2 10.0.4.252, s3 10.0.4.253, s3 10.0.4.254" {
			t.Errorf("want three ways, and the silent two from both ends, tried %s", have)
		}
	}
	if out := carry(t, e, Request{All: true}); len(out.Silent) > 0 || f.takeTried() != "" {
		t.Errorf("an apply that changes nothing says %v and tried %v", out.Silent, f.tried)
	}
}

// TestTheQuickPart: a change whose new pairs answer costs one question more, of a server each and all at
// once; where one is silent, one more of the other end, and no third. With NoVerify nobody is asked.
func TestTheQuickPart(t *testing.T) {
	for _, test := range []struct {
		name    string
		hushed  string
		drops   int
		without bool
		asked   string // who is asked, and of whom
		silent  int
	}{
		{"all answer", "", 0, false, "s4 10.0.4.252, s4 10.0.4.253, s4 10.0.4.254", 0},
		{"a first answer is lost", "", 1, false, "s2 10.0.4.251, s4 10.0.4.252, s4 10.0.4.253, s4 10.0.4.254", 0},
		{"one is silent", "10.0.4.254", 0, false, "s1 10.0.4.251, s4 10.0.4.252, s4 10.0.4.253, s4 10.0.4.254", 1},
		{"not at all", "10.0.4.254", 0, true, "", 0},
	} {
		f, e := world(t, 4)
		carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "vx1", network.VXLAN, option.Options{}) }})
		carry(t, e, Request{Edit: join("s1", "s2", "s3"), Networks: []string{"vx1"}})
		f.takeTried()
		f.log, f.hushed, f.drops = nil, test.hushed, test.drops
		for _, name := range []string{"s1", "s2", "s3"} {
			f.servers[name].step = "fdb 00:00:00:00:00:00 dev vxl0-vx"
		}
		out := carry(t, e, Request{Edit: join("s4"), Networks: []string{"vx1"}, NoVerify: test.without})
		asked, questions := f.takeTried(), 0
		for _, l := range f.log {
			if strings.HasSuffix(l, " "+spec.OpProbe) {
				questions++
			}
		}
		want := 0
		if asked != "" {
			want = 1 + strings.Count(asked, " 10.0.4.251") // of the newcomer, and of another about it
		}
		if asked != test.asked || questions != want || len(out.Silent) != test.silent {
			t.Errorf("%s: asked %s in %d questions, %d are wanted, said %v", test.name, asked, questions, want, out.Silent)
		}
	}
}

// TestStatusProbesAtOnce: who finds nothing to do probes before it answers, and is not asked
// again; who differs is asked for the paths that do.
func TestStatusProbesAtOnce(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "vx1", network.VXLAN, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "vx1", []string{"s1", "s2", "s3"}) }, Networks: []string{"vx1"}})
	look := func() (asked, tried string) {
		t.Helper()
		f.log, f.tried = nil, nil
		if out, err := e.Status(t.Context(), nil, nil); err != nil || len(out.Silent)+len(out.Deaf) > 0 {
			t.Errorf("have %v, %v", out, err)
		}
		return strings.Join(slices.Sorted(slices.Values(f.log)), ", "), f.takeTried()
	}
	const all = "s1 10.0.4.253, s2 10.0.4.252, s3 10.0.4.254"
	if asked, tried := look(); asked != "s1 status, s2 status, s3 status" || tried != all {
		t.Errorf("asked %s, tried %s", asked, tried)
	}
	f.fails = "s2" // it says nothing of its path with its status
	if asked, tried := look(); asked != "s1 status, s2 probe, s2 status, s3 status" || tried != "s1 10.0.4.253, s3 10.0.4.254" {
		t.Errorf("asked %s, tried %s", asked, tried)
	}
}

// TestWhatWasNotProbedIsNoNews: a server that cannot probe leaves its paths out of the verdict;
// where all fail, the one of before stays.
func TestWhatWasNotProbedIsNoNews(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "vx1", network.VXLAN, option.Options{}) }})
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "vx1", []string{"s1", "s2", "s3"}) }, Networks: []string{"vx1"}})
	says := func() string { return e.Store.Verdicts()["vx1"].Says }
	if have := says(); !strings.HasPrefix(have, "3 of 3 pairs answer") {
		t.Fatalf("have %q", have)
	}
	f.fails = "s1"
	if _, err := e.Status(t.Context(), nil, nil); err != nil || !strings.HasPrefix(says(), "2 of 2 pairs answer") {
		t.Errorf("one of three paths begins at s1: have %q, %v", says(), err)
	}
	f.hushed = "10.0.4.252"
	if _, err := e.Status(t.Context(), nil, nil); err != nil || !strings.HasPrefix(says(), "no answer: ") || strings.Contains(says(), "s1 with") {
		t.Errorf("have %q, %v", says(), err)
	}
}

// TestOneLookIsNoVerdict: a path whose first probes are lost, on a busy machine, is tried from
// its other end when all are done, and nothing is said of it.
func TestOneLookIsNoVerdict(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Create(c, "vx1", network.VXLAN, option.Options{}) }})
	f.drops = 3
	out := carry(t, e, Request{Edit: func(c *state.Cluster) error { return edit.Join(c, "vx1", []string{"s1", "s2", "s3"}) }, Networks: []string{"vx1"}})
	if have := f.takeTried(); len(out.Silent)+len(out.Deaf) > 0 || strings.Count(have, ",") != 5 {
		t.Errorf("want three paths tried from both ends and nothing said, have %v, tried %s", out.Silent, have)
	}
	f.drops = 1
	if out, err := e.Status(t.Context(), nil, nil); err != nil || len(out.Silent)+len(out.Deaf) > 0 {
		t.Errorf("have %v, %v", out, err)
	}
}

// A mesh is tried when somebody looks, from the end that knows where the other is.
func TestSilentPeersAreSaidWhenLookedAt(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: lead})
	carry(t, e, Request{Edit: clients("s2", "s3"), Networks: []string{"wirex"}})
	if have := f.takeTried(); have != "" {
		t.Errorf("who meets speaks, tried %s too", have)
	}
	f.deaf = "s3/key/1"
	out, err := e.Status(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "no handshake: s1 with s3 (UDP 192.0.2.3:51820), s2 with s3 (UDP 192.0.2.3:51820); does every firewall on the way let WireGuard pass?"
	if len(out.Silent) != 1 || out.Silent[0].Text != want || len(out.Deaf) != 2 {
		t.Errorf("want %q, have %v", want, out.Silent)
	}
}
