//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/testscript"
)

// verbPackaged makes a release for this machine, twice, from two directories, and refuses one
// whose bytes differ. Directory dist of the script has it then, and $TRIXIE is a directory with
// another release of Debian.
func verbPackaged(ctx context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) != 0 {
		return usage("packaged")
	}
	var sums [2][]byte
	for i, name := range []string{"once", "another/time"} {
		copied := filepath.Join(w.work, name)
		if err := copyTree(ctx, ts.Getenv("TREE"), copied); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "make", "-s", "-C", copied, "release", "ARCHES="+runtime.GOARCH, "TARGETS=linux/"+runtime.GOARCH, "TOOLS="+filepath.Join(ts.Getenv("TREE"), "bin", "tools"))
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=") // as build's
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("make release: %w\n%s", err, text)
		}
		var err error
		if sums[i], err = os.ReadFile(filepath.Join(copied, "dist", "SHA256SUMS")); err != nil {
			return err
		}
	}
	if !bytes.Equal(sums[0], sums[1]) {
		return unmet(fmt.Sprintf("the second release has other bytes:\n%s\n%s", sums[0], sums[1]))
	}
	trixie, err := trixieRoot()
	if err != nil {
		return err
	}
	ts.Setenv("TRIXIE", trixie)
	return os.Rename(filepath.Join(w.work, "once", "dist"), filepath.Join(w.work, "dist"))
}

// trixieRoot is what `make trixie` has prepared.
func trixieRoot() (string, error) {
	dir := os.Getenv("FLOCK_TRIXIE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "flock-trixie")
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("%w: make trixie prepares it", err)
	}
	return dir, nil
}

// copyTree copies a work tree, without what was built in it.
func copyTree(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	text, err := exec.CommandContext(ctx, "sh", "-c", `tar -C "$1" --exclude=./bin --exclude=./dist -cf - . | tar -C "$2" -xf -`, "sh", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy the tree: %w\n%s", err, text)
	}
	return nil
}
