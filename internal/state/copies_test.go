package state

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// TestCopiesComeBack: what servers keep is the file, byte for byte.
func TestCopiesComeBack(t *testing.T) {
	c := &Cluster{Schema: Schema, Name: "default", ID: "FILE", Generation: 3, Servers: map[string]*Server{"s1": {Address: "10.0.0.1"}}}
	packed, err := c.Packed()
	if err != nil {
		t.Fatal(err)
	}
	s := Open(filepath.Join(t.TempDir(), "c.toml"), "default")
	h, err := s.Holds("s1", []spec.Copied{{Cluster: "other"}, {Cluster: "default", Store: "FILE", File: packed}}, "default")
	if err != nil || h == nil || h.File == nil {
		t.Fatalf("%+v, %v", h, err)
	}
	want, _ := c.Marshal()
	if have, err := h.File.Marshal(); err != nil || string(have) != string(want) {
		t.Errorf("want %s\nhave %s (%v)", want, have, err)
	}
	if h, err := s.Holds("s1", nil, "default"); h != nil || err != nil {
		t.Errorf("of nothing: %+v, %v", h, err)
	}
}

// TestOneGenerationIsMadeOnce: what is saved later under one lock belongs to the generation, and
// to when it was made: servers that noted the first are not taken for another file's.
func TestOneGenerationIsMadeOnce(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "c.toml"), "default")
	l, err := s.Lock(t.Context(), "bob, flock rotatekeys")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Unlock() }()
	c := l.Cluster()
	c.Servers = map[string]*Server{"s1": {Address: "10.0.0.1"}}
	if err := l.Save(c); err != nil {
		t.Fatal(err)
	}
	l.base.Saved = l.base.Saved.Add(-time.Hour) // as if the next step took that long
	first := l.base.Made()
	c = l.Cluster()
	c.Servers["s2"] = &Server{Address: "10.0.0.2"}
	if err := l.Save(c); err != nil {
		t.Fatal(err)
	}
	if c.Generation != 1 || c.Made() != first {
		t.Errorf("generation %d, made %s: want 1, %s", c.Generation, c.Made(), first)
	}
	if !s.Knows(1, first) || s.Knows(1, "2026-01-01T00:00:00Z alice, flock addserver s1") || !s.Knows(9, "2026-01-01T00:00:00Z alice") {
		t.Error("generations are not told apart")
	}
}

// TestTake: a copy is written as it is, the former file is kept, and one of another cluster is
// not overwritten.
func TestTake(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "c.toml"), "default")
	if _, err := s.Update(t.Context(), func(c *Cluster) error {
		c.Servers = map[string]*Server{"s1": {Address: "10.0.0.1"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Unlock() }()
	mine := l.Cluster()
	theirs := mine.Clone()
	theirs.Change, theirs.Saved = "alice, flock addserver s2", theirs.Saved.Add(time.Minute)
	theirs.Servers["s2"] = &Server{Address: "10.0.0.2"}
	strange := theirs.Clone()
	strange.ID = "OTHER"
	if err := l.Take(strange); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("of another cluster: %v", err)
	}
	if err := l.Take(theirs); err != nil {
		t.Fatal(err)
	}
	c, err := s.Load(t.Context())
	if err != nil || c.Generation != mine.Generation || c.Made() != theirs.Made() || len(c.Servers) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	// Both are known now: servers with the former one may be changed.
	if !s.Knows(mine.Generation, mine.Made()) || !s.Knows(mine.Generation, theirs.Made()) {
		t.Error("one of both generations is not known")
	}
}
