package state

import (
	"path/filepath"
	"testing"
)

func TestUpdateCountsGenerations(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "deep", "default.toml"), "default")
	add := func(name string) *Cluster {
		t.Helper()
		c, err := s.Update(t.Context(), func(c *Cluster) error {
			if c.Servers == nil {
				c.Servers = map[string]*Server{}
			}
			c.Servers[name] = &Server{}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := add("local")
	if first.Generation != 1 || first.ID == "" || first.Change == "" || first.Saved.IsZero() {
		t.Fatalf("first save made %+v", first)
	}
	if again := add("local"); again.Generation != 1 {
		t.Errorf("a save without a change made generation %d", again.Generation)
	}
	second := add("s1")
	if second.Generation != 2 || second.ID != first.ID {
		t.Fatalf("second save made %+v", second)
	}
	loaded, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Servers) != 2 || loaded.Generation != 2 {
		t.Fatalf("loaded %+v", loaded)
	}
	old, err := s.At(1)
	if err != nil || len(old.Servers) != 1 {
		t.Fatalf("At(1) = %+v, %v", old, err)
	}
	list, err := s.History(t.Context())
	if err != nil || len(list) != 2 || list[0].Number != 1 || !list[1].Current {
		t.Fatalf("History = %+v, %v", list, err)
	}
}
