package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s := Open(filepath.Join(t.TempDir(), "deep", "default.toml"), "default")
	s.Version = "v0-test"
	return s
}

// addServer is an edit.
func addServer(name string) func(*Cluster) error {
	return func(c *Cluster) error {
		if c.Servers == nil {
			c.Servers = map[string]*Server{}
		}
		c.Servers[name] = &Server{}
		return nil
	}
}

func update(t *testing.T, s *Store, edit func(*Cluster) error) *Cluster {
	t.Helper()
	c, err := s.Update(t.Context(), edit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMissingFileIsEmptyCluster(t *testing.T) {
	s := newStore(t)
	c, err := s.Load(t.Context())
	if err != nil || c.Schema != Schema || c.Name != "default" || c.ID != "" || len(c.Servers) != 0 {
		t.Fatalf("Load = %+v, %v", c, err)
	}
	if _, err := os.Stat(filepath.Dir(s.Path())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made a directory: %v", err)
	}
}

func TestUpdateCountsGenerations(t *testing.T) {
	s := newStore(t)
	first := update(t, s, addServer("local"))
	if first.Generation != 1 || first.ID == "" || first.Change == "" || first.Saved.IsZero() || first.Writer != "v0-test" {
		t.Fatalf("first save made %+v", first)
	}
	second := update(t, s, addServer("s1"))
	if second.Generation != 2 || second.ID != first.ID {
		t.Fatalf("second save made %+v", second)
	}
	loaded, err := s.Load(t.Context())
	if err != nil || len(loaded.Servers) != 2 || loaded.Generation != 2 {
		t.Fatalf("loaded %+v, %v", loaded, err)
	}
}

func TestUntouched(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	edited := "# a comment of mine\n" + readFile(t, s.Path())
	if err := os.WriteFile(s.Path(), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	if c := update(t, s, addServer("s1")); c.Generation != 1 {
		t.Errorf("an edit without effect made generation %d", c.Generation)
	}
	broken := errors.New("no")
	c, err := s.Update(t.Context(), func(c *Cluster) error { c.Servers["s1"].User = "x"; return broken })
	if !errors.Is(err, broken) || c != nil {
		t.Errorf("a failing edit gave %+v, %v", c, err)
	}
	after, err := os.Stat(s.Path())
	if err != nil || !os.SameFile(before, after) || readFile(t, s.Path()) != edited {
		t.Errorf("the file was touched: %v", err)
	}
}

func TestUntouchedWithoutFile(t *testing.T) {
	s := newStore(t)
	update(t, s, func(*Cluster) error { return nil })
	if _, err := os.Stat(s.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an edit that does nothing made a file: %v", err)
	}
}

func TestFactsKeepGeneration(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	l, err := s.Lock(t.Context(), "flock test")
	if err != nil {
		t.Fatal(err)
	}
	c := l.Cluster()
	c.Servers["s1"].Facts = &Facts{Machine: "m"}
	c.Servers["s1"].Confirmed = &Confirmed{Generation: 1, Time: time.Now()}
	if err := l.Save(c); err != nil || c.Generation != 1 {
		t.Errorf("saving facts made generation %d, %v", c.Generation, err)
	}
	c.Networks = map[string]*Network{"vx1": {Type: "vxlan", Allocated: map[string]*Allocation{"s1": {ID: 1}}}}
	if err := l.Save(c); err != nil || c.Generation != 2 || c.Change != "flock test" {
		t.Errorf("saving a network made generation %d by %q, %v", c.Generation, c.Change, err)
	}
	c.Networks["vx1"].Allocated["s1"].ID = 2
	if err := l.Save(c); err != nil || c.Generation != 2 {
		t.Errorf("saving the next step of one command made generation %d, %v", c.Generation, err)
	}
	if old, err := s.At(1); err != nil || old.Networks["vx1"] != nil {
		t.Errorf("the way back is to %+v, %v", old, err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(c); err == nil {
		t.Error("saved without the lock")
	}
	loaded, err := s.Load(t.Context())
	if err != nil || loaded.Servers["s1"].Facts.Machine != "m" || loaded.Servers["s1"].Confirmed.Generation != 1 {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
}

func TestLockedClusterIsCopyWithIdentity(t *testing.T) {
	l, err := newStore(t).Lock(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Cluster()
	a.Servers = map[string]*Server{"s1": {}}
	if b := l.Cluster(); b.Servers != nil || b.ID == "" || a.ID != b.ID {
		t.Errorf("two copies: %+v, %+v", a, b)
	}
	id := a.ID
	if err := l.Save(a); err != nil || a.ID != id {
		t.Errorf("the first save changed the ID from %q to %q: %v", id, a.ID, err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLongCommandIsCut(t *testing.T) {
	s := newStore(t)
	l, err := s.Lock(t.Context(), "flock addnetwork vx1 \xff"+strings.Repeat(" sé", 5000))
	if err != nil {
		t.Fatal(err)
	}
	c := l.Cluster()
	c.Servers = map[string]*Server{"s1": {}}
	if err := errors.Join(l.Save(c), l.Unlock()); err != nil {
		t.Fatal(err)
	}
	list, err := s.History(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Change) > holderMax+3 || !strings.HasPrefix(list[0].Change, "flock addnetwork vx1 ?") {
		t.Fatalf("History = %+v, %v", list, err)
	}
}

func TestHistory(t *testing.T) {
	s := newStore(t)
	if list, err := s.History(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("History before the first save = %+v, %v", list, err)
	}
	const saves = keptGenerations + 5
	for i := range saves {
		update(t, s, addServer(fmt.Sprintf("s%d", i+1)))
	}
	list, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != keptGenerations+1 || list[0].Number != saves-keptGenerations || !list[keptGenerations].Current || list[0].Current {
		t.Fatalf("%d generations from %+v to %+v", len(list), list[0], list[len(list)-1])
	}
	if g := list[3]; g.Saved.IsZero() || !strings.HasPrefix(g.Change, "flock ") {
		t.Errorf("a generation of unknown origin: %+v", g)
	}
	for _, g := range list {
		c, err := s.At(g.Number)
		if err != nil || c.Generation != g.Number || len(c.Servers) != int(g.Number) {
			t.Fatalf("At(%d) = %+v, %v", g.Number, c, err)
		}
	}
	for _, gone := range []uint64{0, 1, saves + 1} {
		if _, err := s.At(gone); err == nil || !strings.Contains(err.Error(), "is not kept") {
			t.Errorf("At(%d) = %v", gone, err)
		}
	}
}

func TestRollBackGoesForward(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	update(t, s, addServer("s2"))
	old, err := s.At(1)
	if err != nil {
		t.Fatal(err)
	}
	c := update(t, s, func(c *Cluster) error { *c = *old; return nil })
	if c.Generation != 3 || len(c.Servers) != 1 {
		t.Fatalf("rolled back to %+v", c)
	}
}

// TestBrokenFileHasAWayBack: the history serves while the file cannot be read.
func TestBrokenFileHasAWayBack(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	update(t, s, addServer("s2"))
	if err := os.WriteFile(s.Path(), []byte("cluster = 'default'\n[server.s1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(t.Context())
	if where, next := hint.Of(err); err == nil || where != s.Path()+":2:11" || !strings.Contains(next, "+2 ") {
		t.Errorf("Load = %v, where %q, next %q", err, where, next)
	}
	if _, err := s.Update(t.Context(), addServer("s3")); err == nil {
		t.Error("a broken file was overwritten")
	}
	if c, err := s.At(1); err != nil || len(c.Servers) != 1 {
		t.Errorf("At(1) = %+v, %v", c, err)
	}
}

func TestModes(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	if err := os.Chmod(s.Path(), 0o644); err != nil {
		t.Fatal(err)
	}
	update(t, s, addServer("s2"))
	dir := filepath.Dir(s.Path())
	for path, want := range map[string]fs.FileMode{
		s.Path(): 0o600, s.Path() + ".lock": 0o600, dir: fs.ModeDir | 0o700,
		historyDir(s.Path()): fs.ModeDir | 0o700, historyFile(s.Path(), 1): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: want mode %v, have %v, %v", path, want, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("in %s: %v, %v; want the file, its lock and its history", dir, entries, err)
	}
}

// TestSymlink: a link is kept, and whoever comes by the link and whoever comes by
// the file are kept apart by one lock.
func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	link, real := filepath.Join(dir, "default.toml"), filepath.Join(dir, "dotfiles", "cluster.toml")
	if err := os.Mkdir(filepath.Dir(real), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dotfiles/cluster.toml", link); err != nil {
		t.Fatal(err)
	}
	s := Open(link, "default")
	update(t, s, addServer("s1")) // the link dangles
	update(t, s, addServer("s2"))
	if to, err := os.Readlink(link); err != nil || to != "dotfiles/cluster.toml" {
		t.Fatalf("the link is %q, %v", to, err)
	}
	c, err := Open(real, "default").Load(t.Context())
	if err != nil || len(c.Servers) != 2 {
		t.Fatalf("the file holds %+v, %v", c, err)
	}
	if list, err := s.History(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("History = %+v, %v", list, err)
	}
	l, err := s.Lock(t.Context(), "by the link")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(real, "default").Lock(ended(t), "by the file"); err == nil {
		t.Error("two hold the lock")
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink("default.toml", link)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(t.Context(), ""); err == nil {
		t.Error("a link to itself was locked")
	}
}

func TestOtherClustersFile(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	_, err := Open(s.Path(), "home").Load(t.Context())
	if _, next := hint.Of(err); !errors.Is(err, ErrMalformed) || !strings.Contains(next, "--cluster default") {
		t.Errorf("Load as another cluster = %v", err)
	}
	if c, err := Open(s.Path(), "").Load(t.Context()); err != nil || c.Name != "default" {
		t.Errorf("Load as any cluster = %+v, %v", c, err)
	}
}

func TestDefaultPath(t *testing.T) {
	for _, test := range []struct{ xdg, home, cluster, want string }{
		{"/x", "/h", "a", "/x/flock/a.toml"},
		{"", "/h", "a", "/h/.local/state/flock/a.toml"},
		{"relative", "/h", "a", "/h/.local/state/flock/a.toml"},
		{"", "", "a", ""},
		{"/x", "/h", "../a", ""},
	} {
		env := map[string]string{"XDG_STATE_HOME": test.xdg, "HOME": test.home}
		have, err := DefaultPath(test.cluster, func(key string) string { return env[key] })
		if have != test.want || (err == nil) != (test.want != "") {
			t.Errorf("DefaultPath(%q) with %v = %q, %v, want %q", test.cluster, env, have, err, test.want)
		}
	}
}
