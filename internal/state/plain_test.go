package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
)

// TestOnlyPlainFilesAreRead: a pipe or a device in the place of the file, or of one in its
// history, is an error and keeps nobody waiting.
func TestOnlyPlainFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "default.toml")
	s := Open(path, "default")
	save := func() error {
		_, err := s.Update(t.Context(), func(c *Cluster) error {
			c.Servers = map[string]*Server{"s1": {}}
			return nil
		})
		return err
	}
	if err := save(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(historyDir(path), 0o700), syscall.Mkfifo(historyFile(path, 7), 0o600), os.Symlink("/dev/zero", historyFile(path, 8))); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{7, 8} {
		if _, err := s.At(n); !errors.Is(err, plainfile.ErrNotRegular) {
			t.Errorf("generation %d: %v", n, err)
		}
	}
	if _, err := s.History(t.Context()); !errors.Is(err, plainfile.ErrNotRegular) {
		t.Errorf("history: %v", err)
	}
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); !errors.Is(err, plainfile.ErrNotRegular) {
		t.Errorf("the file: %v", err)
	}
	if err := save(); !errors.Is(err, plainfile.ErrNotRegular) {
		t.Errorf("to change the file: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600), os.Truncate(path, plainfile.MostCluster+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); !errors.Is(err, plainfile.ErrTooLarge) {
		t.Errorf("a huge file: %v", err)
	}
}

// TestLocate: a fault is placed in the line of its key, or of the deepest part that has one.
func TestLocate(t *testing.T) {
	s := Source{"c.toml", []byte("[server.s1]\naddress = \"a\"\n[network.\"n.1\"]\ntype = \"vxlan\"\nmtu = 5\n[network.\"n.1\".allocated.\"s.1\"]\nid = 1\n")}
	for where, want := range map[string]string{
		"server s1, address":           "server s1, address (c.toml:2:1)",
		"server s1, jump":              "server s1, jump (c.toml:1:9)",
		"network n.1, mtu":             "network n.1, mtu (c.toml:5:1)",
		"network n.1, allocated.s.1":   "network n.1, allocated.s.1 (c.toml:6:26)",
		"network n.1, external s1 a":   "network n.1, external s1 a (c.toml:3:10)",
		"network n.2, mtu":             "network n.2, mtu",
		"server s9":                    "server s9",
		"tunnel s1":                    "tunnel s1",
		"":                             "",
		"network vx1 with a long name": "network vx1 with a long name",
	} {
		have, next := hint.Of(s.Locate(hint.Errorf(where, "do it", "no")))
		if have != want || next != "do it" {
			t.Errorf("%q: %q, want %q", where, have, want)
		}
	}
	if err := s.Locate(nil); err != nil {
		t.Error(err)
	}
	if err := errors.New("plain"); !errors.Is(s.Locate(err), err) || strings.Contains(err.Error(), "c.toml") {
		t.Error(err)
	}
}
