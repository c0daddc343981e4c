package change

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// asking is a request whose plan a person is asked about; meanwhile goes on while that
// person thinks.
func asking(edit func(*state.Cluster) error, meanwhile func()) Request {
	return Request{
		Edit: edit,
		Asks: func() bool { return true },
		Approve: func(*Outcome) (bool, error) {
			meanwhile()
			return true, nil
		},
	}
}

func TestQuestionComesBeforeLocks(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	var before []string
	out := carry(t, e, asking(join("s1", "s2"), func() { before = slices.Sorted(slices.Values(f.log)) }))
	if want := []string{"s1 look", "s2 look"}; !slices.Equal(before, want) {
		t.Errorf("before the answer: %q, want %q", before, want)
	}
	if got, want := states(out), "s1 done, s2 done"; got != want || len(out.Pending) > 0 {
		t.Errorf("%s, pending %v", got, out.Pending)
	}
	for _, name := range []string{"s1", "s2"} {
		plan, apply := slices.Index(f.log, name+" plan"), slices.Index(f.log, name+" apply")
		if plan < 0 || apply < plan {
			t.Errorf("after the answer: %q", f.log[2:])
		}
	}
	if f.dialed != 4 { // two of them by addserver
		t.Errorf("%d connections", f.dialed)
	}
}

// Whoever asks nobody pays for no second plan.
func TestWithoutQuestionOnePlan(t *testing.T) {
	f, e := world(t, 1)
	carry(t, e, Request{Edit: create})
	req := asking(join("s1"), func() {})
	req.Asks = func() bool { return false }
	carry(t, e, req)
	if strings.Count(strings.Join(f.log, "\n"), "s1 plan") != 1 || slices.Contains(f.log, "s1 look") {
		t.Errorf("asked for %q", f.log)
	}
}

// What the answer was not about is not done, and neither is what it was about.
func TestPlanThatChangedWhileAsked(t *testing.T) {
	lost := []spec.Step{{Action: spec.Remove, Object: "link vxl0", Detail: "without it are its ports c9"}}
	for word, meanwhile := range map[string]func(*server){
		"now this is to be done there: - link vxl0: without it are its ports c9": func(s *server) { s.drift = lost },
		"less is to be done there": func(s *server) { s.drift = nil },
		"taken":                    func(s *server) { s.problem = "it is taken" },
	} {
		f, e := world(t, 2)
		carry(t, e, Request{Edit: create})
		s2 := f.servers["s2"]
		if strings.HasPrefix(word, "less") {
			s2.drift = lost
		}
		before := load(t, e)
		touched := false
		e.Touching = func() { touched = true }
		_, err := e.Run(t.Context(), asking(join("s1", "s2"), func() { meanwhile(s2) }))
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("want %q, have %v", word, err)
		}
		if where, next := hint.Of(err); where != "server s2" || next == "" {
			t.Errorf("where %q, next %q", where, next)
		}
		if after := load(t, e); touched || after.Generation != before.Generation || f.servers["s1"].held != nil {
			t.Errorf("%s: something was touched", word)
		}
	}
}

// One that goes away while a person thinks is one that is away.
func TestGoneWhileAsked(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	out := carry(t, e, asking(join("s1", "s2"), func() { f.servers["s2"].hang = func() {} }))
	if got, want := states(out), "s1 done, s2 failed"; got != want || !slices.Equal(out.Pending, []string{"s2"}) {
		t.Errorf("%s, pending %v", got, out.Pending)
	}
}

// Somebody may have to look at a new server's host key, and think.
func TestStrangersAreMetBeforeOthersAreLocked(t *testing.T) {
	f, e := world(t, 2)
	f.servers["s3"] = &server{mtu: 1500, step: "link vxl0"}
	f.met = nil
	locked := func() int {
		return strings.Count(strings.Join(f.log, "\n")+"\n", " plan\n")
	}
	open, before := e.open, -1
	e.open = func(ctx context.Context, to remote.Target) (session, error) {
		if to.Name == "s3" {
			f.mu.Lock()
			before = locked()
			f.mu.Unlock()
		}
		return open(ctx, to)
	}
	edit := func(c *state.Cluster) error {
		return errors.Join(edit.AddServer(c, "s3", state.Server{Address: "s3"}), create(c), join("s1", "s2", "s3")(c))
	}
	out := carry(t, e, Request{Edit: edit, All: true})
	if got, want := states(out), "s1 done, s2 done, s3 done"; got != want {
		t.Fatal(got)
	}
	if before != 0 || f.met[0] != "s3" {
		t.Errorf("%d servers were locked before the new one was met; %q", before, f.met)
	}
}

// TestHangingApplyKeepsNobody: the others are confirmed while one does not come to an end.
func TestHangingApplyKeepsNobody(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	all := make(chan struct{})
	f.servers["s2"].hang = func() {
		tick, late := time.NewTicker(time.Millisecond), time.After(10*time.Second)
		defer tick.Stop()
		for {
			f.mu.Lock()
			done := f.servers["s1"].held != nil && f.servers["s3"].held != nil
			f.mu.Unlock()
			select {
			case <-late:
				return
			case <-tick.C:
			}
			if done {
				close(all)
				return
			}
		}
	}
	out := carry(t, e, Request{Edit: join("s1", "s2", "s3")})
	select {
	case <-all:
	default:
		t.Error("the others waited for it")
	}
	if got, want := states(out), "s1 done, s2 failed, s3 done"; got != want || !slices.Equal(out.Pending, []string{"s2"}) {
		t.Errorf("%s, pending %v", got, out.Pending)
	}
}
