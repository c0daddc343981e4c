package change

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// TestServersKeepTheFile: each server that a change concerns gets the file of its generation, and
// gives it back; one that does not answer is named.
func TestServersKeepTheFile(t *testing.T) {
	f, e := world(t, 3)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1", "s2")})
	f.servers["s3"].away = true
	c := load(t, e)
	found, absent, err := e.Copies(t.Context(), c, []string{"s1", "s2", "s3"})
	if err != nil || len(absent) != 1 || absent[0].Name != "s3" {
		t.Fatalf("absent %+v, %v", absent, err)
	}
	for _, name := range []string{"s1", "s2"} {
		h, err := e.Store.Holds(name, found[name], c.Name)
		if err != nil || h == nil || h.File == nil {
			t.Fatalf("%s: %+v, %v", name, h, err)
		}
		if h.File.Generation != c.Generation || h.File.Made() != c.Made() || len(h.File.Networks["vx1"].Members) != 2 {
			t.Errorf("%s has generation %d, made %s", name, h.File.Generation, h.File.Made())
		}
	}
}

// TestAnotherCopysGeneration: a server that confirmed a generation of another copy of the file
// refuses whoever does not know that one, and nothing is changed.
func TestAnotherCopysGeneration(t *testing.T) {
	f, e := world(t, 2)
	carry(t, e, Request{Edit: create})
	carry(t, e, Request{Edit: join("s1")})
	other := *f.servers["s1"].held
	other.Made = "2026-01-05T13:00:00Z alice@desk, flock addnetwork vx1 s1"
	ours := f.servers["s1"].held
	f.servers["s1"].held = &other
	before := load(t, e)
	touched := false
	e.Touching = func() { touched = true }
	_, err := e.Run(t.Context(), Request{Edit: join("s2")})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "s1 holds generation 4 of another copy of the cluster file: made 2026-01-05T13:00:00Z by alice@desk, flock addnetwork vx1 s1") {
		t.Errorf("%v", err)
	}
	if where, next := hint.Of(err); where != "server s1" || !strings.HasPrefix(next, "flock pull s1") {
		t.Errorf("where %q, next %q", where, next)
	}
	if after := load(t, e); touched || after.Generation != before.Generation {
		t.Error("something was touched")
	}
	f.servers["s1"].held = ours
	carry(t, e, Request{Edit: join("s2")})
	// An older one that the history has is ours, too, and one that nobody keeps is not held against us.
	old := *f.servers["s1"].held
	old.Generation, old.Made = before.Generation, before.Made()
	f.servers["s1"].held = &old
	carry(t, e, Request{All: true})
	lost := old
	lost.Generation, lost.Made = 0, time.Now().UTC().Format(time.RFC3339)+" alice"
	f.servers["s1"].held = &lost
	carry(t, e, Request{All: true, Edit: func(*state.Cluster) error { return nil }})
}
