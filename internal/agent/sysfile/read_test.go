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
