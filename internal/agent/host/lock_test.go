//go:build linux

package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNothingIsFollowed: what somebody put in the place of a lock is not written to, nor
// waited for.
func TestNothingIsFollowed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("victim"), []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("victim", at("link")), os.Symlink("nowhere", at("dangling")), unix.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "dangling", "pipe"} {
		if l, err := TakeLock(t.Context(), at(name), "us", "", time.Second, func(string) {}); err == nil {
			t.Errorf("%s is a lock: %v", name, l.Release(false))
		}
	}
	if text, err := os.ReadFile(at("victim")); err != nil || string(text) != "precious" {
		t.Errorf("the file behind the link is %q, %v", text, err)
	}
	if _, err := os.Stat(at("nowhere")); err == nil {
		t.Error("a file was made behind a link")
	}
}
