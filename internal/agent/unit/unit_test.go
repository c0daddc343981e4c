//go:build linux

package unit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// place puts files with text where they belong, with their directories.
func place(t *testing.T, text string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fakeSystemd makes c's a server with systemd, whose systemctl writes down what it was told.
func fakeSystemd(t *testing.T, c *Cluster) (told func() []string) {
	t.Helper()
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+log+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, dir := range []string{c.systemd, c.dir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func() []string {
		text, err := sysfile.ReadIfThere(log)
		if err := errors.Join(err, sysfile.Remove(log)); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return l == "" || strings.HasPrefix(l, "reset-failed") })
	}
}

// TestFormerUnitIsTakenOver: a cluster's units were called so that another's could be
// meant. The one whose it is finds, moves and removes them.
func TestFormerUnitIsTakenOver(t *testing.T) {
	dir, systemd := t.TempDir(), t.TempDir()
	s, other := New("a-dns", dir, systemd, t.TempDir()), New("a", dir, systemd, t.TempDir())
	told := fakeSystemd(t, s)
	ctx := context.Background()
	const former = "flock-a-dns-dns-b.service"
	const mine, its = "dns-b", "dns-dns-b"
	place(t, "# flock: a-dns/b\n[Service]\nExecStart=/none\n", s.Path(former))

	if ours, err := other.Ours(); err != nil || len(ours) > 0 {
		t.Errorf("cluster a's: %v, %v", ours, err)
	}
	if _, err := other.Put(ctx, its, "# flock: a/dns-b\n"); err == nil || !strings.Contains(err.Error(), "cluster a-dns has one") {
		t.Errorf("overwritten: %v", err)
	}
	if ours, err := s.Ours(); err != nil || len(ours) != 1 || s.DaemonOf(ours[0]) != mine {
		t.Errorf("cluster a-dns's: %v, %v", ours, err)
	}
	if _, err := s.Put(ctx, mine, "# flock: a-dns/b\n"); err != nil {
		t.Fatal(err)
	}
	if have := told(); !slices.Equal(have, []string{"stop " + former}) || sysfile.Exists(s.Path(former)) || !sysfile.Exists(s.Path("flock-a:dns-dns-b.service")) {
		t.Errorf("told %q", have)
	}
	if _, err := other.Put(ctx, its, "# flock: a/dns-b\n"); err != nil {
		t.Errorf("the name is free now: %v", err)
	}
	place(t, "# flock: a-dns\n", s.Path(s.FormerName("resolve")))
	if err := errors.Join(s.Drop(ctx, mine), s.Drop(ctx, "resolve")); err != nil {
		t.Fatal(err)
	}
	if ours, err := s.Ours(); err != nil || len(ours) != 0 {
		t.Errorf("%q stay, %v", ours, err)
	}
	if ours, err := other.Ours(); err != nil || len(ours) != 1 {
		t.Errorf("cluster a: %q, %v", ours, err)
	}
}

// TestUnitIsReadThoughTheAgentDied: between the writing of a file and the word to systemd
// a process may end. The next one finds the file as it should be, and says the word.
func TestUnitIsReadThoughTheAgentDied(t *testing.T) {
	s := New("test", t.TempDir(), t.TempDir(), t.TempDir())
	told := fakeSystemd(t, s)
	path := s.Path(s.Name("bgp"))
	put := func(ctx context.Context, text string, want ...string) {
		t.Helper()
		_, err := s.Put(ctx, "bgp", text)
		if have, _ := sysfile.ReadIfThere(path); err != nil && ctx.Err() == nil || have != text {
			t.Errorf("%v, have %q", err, have)
		}
		if have := told(); !slices.Equal(have, want) {
			t.Errorf("%q: want %q, have %q", text, want, have)
		}
	}
	dead, die := context.WithCancel(t.Context())
	die()
	put(t.Context(), "# flock: test\n1") // it reads by itself what it does not know
	put(t.Context(), "# flock: test\n1")
	put(t.Context(), "# flock: test\n2", "daemon-reload")
	put(dead, "# flock: test\n3")
	put(t.Context(), "# flock: test\n3", "daemon-reload")
	put(t.Context(), "# flock: test\n3")
	put(dead, "# flock: test\n4")
	put(t.Context(), "# flock: test\n3", "daemon-reload")
	if files, err := os.ReadDir(s.run); err != nil || len(files) > 0 {
		t.Errorf("notes stay: %v, %v", files, err)
	}
}
