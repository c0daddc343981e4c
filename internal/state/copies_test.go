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

// TestTake: a newer copy is written as it is, one that is not newer as a generation after both;
// the former file is kept, and one of another cluster is not overwritten.
func TestTake(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "c.toml"), "default")
	if _, err := s.Update(t.Context(), func(c *Cluster) error {
		c.Servers = map[string]*Server{"s1": {Address: "10.0.0.1"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(t.Context(), "me, flock pull s2")
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
	if s.Knows(1, theirs.Made()) {
		t.Error("theirs was known before it was taken")
	}
	if err := l.Take(theirs); err != nil {
		t.Fatal(err)
	}
	if c := l.Cluster(); c.Generation != 2 || c.Change != "me, flock pull s2" || len(c.Servers) != 2 {
		t.Errorf("%+v", c)
	}
	if old, err := s.At(1); err != nil || len(old.Servers) != 1 {
		t.Errorf("mine is %+v, %v", old, err)
	}
	// Both are known now: servers with the former one, and those with theirs, may be changed, and
	// that stays so whatever is saved later.
	c := l.Cluster()
	c.Servers["s3"] = &Server{Address: "10.0.0.3"}
	if err := l.Save(c); err != nil {
		t.Fatal(err)
	}
	if !s.Knows(1, mine.Made()) || !s.Knows(1, theirs.Made()) || s.Knows(1, "2026-01-01T00:00:00Z eve, flock x") {
		t.Error("generations are not told apart")
	}
	newer := l.Cluster()
	newer.Generation, newer.Change = 9, "alice, flock addserver s9"
	if err := l.Take(newer); err != nil {
		t.Fatal(err)
	}
	if c := l.Cluster(); c.Generation != 9 || c.Made() != newer.Made() {
		t.Errorf("%+v", c)
	}
}
