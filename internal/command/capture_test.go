package command

import (
	"os"
	"path/filepath"
	"testing"
)

// A file that exists keeps what it has until servers take packets, and is its owner's alone then.
func TestCaptureFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(name, []byte("before"), 0o644); err != nil { //nolint:gosec // it is the test's point
		t.Fatal(err)
	}
	f, begin, err := captureFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if have, _ := os.ReadFile(name); string(have) != "before" {
		t.Errorf("%q is left before anything was taken", have)
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(name); err != nil || i.Mode() != 0o600 || i.Size() != 0 {
		t.Error(i, err)
	}
	pipe, begin, err := captureFile(os.DevNull)
	if err != nil || begin() != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
	if i, err := os.Stat(os.DevNull); err != nil || i.Mode().Perm() == 0o600 {
		t.Error(i, err)
	}
}
