//go:build linux

package sysfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteIsWholeOrOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	for _, text := range []string{"one", "two"} {
		changed, err := WriteIfOther(path, text, 0o600)
		if err != nil || !changed {
			t.Fatalf("write %q: %v, %v", text, changed, err)
		}
		if changed, err := WriteIfOther(path, text, 0o600); err != nil || changed {
			t.Errorf("write %q again: %v, %v", text, changed, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("directory: %v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	if err := Write(filepath.Join(filepath.Dir(path), "no", "dir"), "", 0o600, true); err == nil {
		t.Error("a file in no directory was written")
	}
}

// TestLinkIsReplaced: a link in the place of a file that is written is replaced, and what
// it points to stays.
func TestLinkIsReplaced(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("victim"), []byte("precious"), 0o644), os.Symlink("victim", at("link"))); err != nil {
		t.Fatal(err)
	}
	if err := Write(at("link"), "new", 0o600, false); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"victim": "precious", "link": "new"} {
		if text, err := os.ReadFile(at(name)); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}
