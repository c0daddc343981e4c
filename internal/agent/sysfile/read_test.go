//go:build linux

package sysfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadingEnds: a pipe or a device in the place of a note keeps no server.
func TestReadingEnds(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadIfThere(pipe); err != nil || text != "" {
		t.Errorf("a pipe without a writer: %q, %v", text, err)
	}
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadIfThere(pipe); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a pipe whose writer is silent: %v", err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadIfThere("/dev/zero"); err == nil || !strings.Contains(err.Error(), unix.EFBIG.Error()) {
		t.Errorf("a file that never ends: %v", err)
	}
}

func TestReadIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, common - 1, common, common + 1, 5 * common} {
		want := strings.Repeat("flock ", size)[:size]
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := Read(path)
		text, err2 := ReadIfThere(path)
		if err := errors.Join(err, err2); err != nil || string(data) != want || text != want || data == nil {
			t.Errorf("%d bytes: %d and %d, %v", size, len(data), len(text), err)
		}
	}
}

func TestExists(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink("loop", filepath.Join(dir, "loop")), os.Symlink("nowhere", filepath.Join(dir, "dangling"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		dir: true, file: true, filepath.Join(dir, "none"): false, filepath.Join(file, "below"): false,
		filepath.Join(dir, "loop"): true, filepath.Join(dir, "dangling"): false,
	} {
		if Exists(path) != want {
			t.Errorf("%s: want %v", path, want)
		}
	}
}
