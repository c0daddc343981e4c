//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// verbBuilt makes flock of an earlier commit, as `go build` does: one that is agent and
// BGP daemon too, with the libraries that its go.mod names.
func verbBuilt(ctx context.Context, _ *walk, ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return usage("built COMMIT DIR")
	}
	dir := ts.MkAbs(args[1])
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return err
	}
	if err := export(ctx, ts.Getenv("TREE"), args[0], source); err != nil {
		return err
	}
	// Without the path in it, Go takes from its cache what another run of this test built.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(dir, "flock"), "./cmd/flock")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build flock of %s: %w\n%s", args[0], err, text)
	}
	return os.RemoveAll(source)
}

// export writes the files of a commit below dir. A clone without history asks where it
// came from.
func export(ctx context.Context, tree, commit, dir string) error {
	git := func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, "git", append([]string{"-C", tree}, args...)...)
	}
	if git("cat-file", "-e", commit+"^{commit}").Run() != nil {
		if text, err := git("fetch", "-q", "--no-tags", "--depth=1", "origin", commit).CombinedOutput(); err != nil {
			return fmt.Errorf("this clone lacks commit %s, of which an older flock is built (git fetch --unshallow): %w\n%s", commit, err, text)
		}
	}
	archive, tar := git("archive", commit), exec.CommandContext(ctx, "tar", "x", "-C", dir)
	var said bytes.Buffer
	archive.Stderr, tar.Stderr = &said, &said
	pipe, err := archive.StdoutPipe()
	if err != nil {
		return err
	}
	tar.Stdin = pipe
	if err := archive.Start(); err != nil {
		return err
	}
	tarErr := tar.Run()
	if err := archive.Wait(); err != nil || tarErr != nil {
		return fmt.Errorf("git archive %s | tar x: %w, %w\n%s", commit, err, tarErr, said.String())
	}
	return nil
}
