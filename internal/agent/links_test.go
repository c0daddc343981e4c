//go:build linux

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNothingIsFollowed: what somebody put in the place of a lock or of a file that is
// written is not written to, nor waited for.
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
		if l, err := takeLock(t.Context(), at(name), "us", "", time.Second, func(string) {}); err == nil {
			t.Errorf("%s is a lock: %v", name, l.release(false))
		}
	}
	if err := writeFile(at("link"), "new", 0o600, false); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(at("victim"))
	if err != nil || string(text) != "precious" {
		t.Errorf("the file behind the link is %q, %v", text, err)
	}
	if _, err := os.Stat(at("nowhere")); err == nil {
		t.Error("a file was made behind a link")
	}
}

// TestReadingEnds: a pipe or a device in the place of a note keeps no server.
func TestReadingEnds(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := readIfThere(pipe); err != nil || text != "" {
		t.Errorf("a pipe without a writer: %q, %v", text, err)
	}
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readIfThere(pipe); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a pipe whose writer is silent: %v", err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := readIfThere("/dev/zero"); err == nil || !strings.Contains(err.Error(), unix.EFBIG.Error()) {
		t.Errorf("a file that never ends: %v", err)
	}
}
