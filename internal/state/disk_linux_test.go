package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/lab"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of 64 KiB that only the calling goroutine's
// thread sees: the thread dies with the goroutine, and the mount with the thread.
func smallDisk(t *testing.T) string {
	t.Helper()
	lab.Need(t)
	runtime.LockOSThread() // never unlocked
	dir := t.TempDir()
	err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("small", dir, "tmpfs", 0, "size=64k"))
	if err != nil {
		t.Fatalf("mount a small disk (needs root): %v", err)
	}
	t.Cleanup(func() { // the test's directory is removed by this thread
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	s := Open(filepath.Join(dir, "default.toml"), "default")
	update(t, s, addServer("s1"))
	before := readFile(t, s.Path())
	_, err := s.Update(t.Context(), func(c *Cluster) error { *c = *bigCluster(1000); return nil })
	if _, next := hint.Of(err); !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(next, "make room") {
		t.Fatalf("Update = %v, next %q", err, next)
	}
	if after := readFile(t, s.Path()); after != before {
		t.Fatalf("want\n%s\nhave\n%s", before, after)
	}
	if c := update(t, s, addServer("s2")); c.Generation != 2 {
		t.Fatalf("the save after made generation %d", c.Generation)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t)
	s := Open(filepath.Join(dir, "default.toml"), "default")
	update(t, s, addServer("s1"))
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Load(t.Context()); err != nil || len(c.Servers) != 1 {
		t.Errorf("Load = %+v, %v", c, err)
	}
	_, err := s.Update(t.Context(), addServer("s2"))
	if _, next := hint.Of(err); !errors.Is(err, unix.EROFS) || !strings.Contains(next, "--state") {
		t.Errorf("Update = %v, next %q", err, next)
	}
}

// TestOwnerStays: root saving a user's file, by sudo, leaves it the user's, with its
// lock and its history; so do the first save in a user's directory, which makes it,
// and a lock that root made before.
func TestOwnerStays(t *testing.T) {
	const nobody = 65534
	give := func(path string) {
		t.Helper()
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatalf("give %s away (needs root): %v", path, err)
		}
	}
	home := t.TempDir()
	give(home)
	fresh := Open(filepath.Join(home, "state", "flock", "default.toml"), "default")
	update(t, fresh, addServer("s1"))
	old := newStore(t)
	update(t, old, addServer("s1"))
	give(old.Path())
	for _, s := range []*Store{fresh, old} {
		update(t, s, addServer("s2"))
		for _, path := range []string{s.Path(), s.Path() + ".lock", historyDir(s.Path()), historyFile(s.Path(), 1)} {
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Uid != nobody || st.Gid != nobody {
				t.Errorf("%s belongs to %d:%d, %v", path, st.Uid, st.Gid, err)
			}
		}
	}
	for _, dir := range []string{"state", "state/flock"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(home, dir), &st); err != nil || st.Uid != nobody {
			t.Errorf("%s belongs to %d, %v", dir, st.Uid, err)
		}
	}
}

// TestLockFollowsNothing: a lock that leads elsewhere, to a file that root would give
// away or overwrite, is refused.
func TestLockFollowsNothing(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "default.toml"), "default")
	other := filepath.Join(t.TempDir(), "other")
	for _, make := range []func(string) error{
		func(lock string) error { return os.Symlink(other, lock) },
		func(lock string) error { return os.Link(other, lock) },
		func(lock string) error { return unix.Mkfifo(lock, 0o600) },
	} {
		if err := os.WriteFile(other, []byte("keep"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := make(s.Path() + ".lock"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Update(t.Context(), addServer("s1")); err == nil {
			t.Error("locked by what is no file of its own")
		}
		if text := readFile(t, other); text != "keep" {
			t.Errorf("the other file is %q", text)
		}
		if err := os.Remove(s.Path() + ".lock"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForbiddenDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Open(filepath.Join(dir, "file", "default.toml"), "default")
	if _, err := s.Update(t.Context(), addServer("s1")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Update below a file = %v", err)
	}
	if _, err := s.Load(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load below a file = %v", err)
	}
}
