package handover

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/flocknet/flock/internal/hint"
)

// What is called flock and is a program, and another one, is util-linux's.
func TestTheirFlock(t *testing.T) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, plain, theirs, empty := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Symlink(me, filepath.Join(self, "flock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(empty, "flock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, mode := range map[string]os.FileMode{plain: 0o600, theirs: 0o700} {
		if err := os.WriteFile(filepath.Join(dir, "flock"), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(theirs) // a directory of PATH that is none is not where somebody stands
	others := []string{"", ".", empty, self, plain, filepath.Join(empty, "none")}
	if have := theirFlock(others); have != "" {
		t.Errorf("want none, have %s", have)
	}
	if have, want := theirFlock(slices.Concat(others, []string{theirs, empty})), filepath.Join(theirs, "flock"); have != want {
		t.Errorf("want %s, have %s", want, have)
	}
}

// Two copies of ours in PATH do not hand a call to each other for ever.
func TestHandedOverOnce(t *testing.T) {
	env := map[string]string{"PATH": "/usr/bin:/bin", handedOver: strconv.Itoa(os.Getpid())}
	path, err := Find([]string{"-n", "/lock"}, func(key string) string { return env[key] })
	if _, next := hint.Of(err); err == nil || path != "" || next != "flock help" {
		t.Errorf("have %q, %v, next %q", path, err, next)
	}
}
