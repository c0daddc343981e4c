//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhoServes: flock as it is made carries the agent and is none; flock as `go
// install` makes it serves itself.
func TestWhoServes(t *testing.T) {
	made := filepath.Join(build(t), "flock")
	plain := filepath.Join(t.TempDir(), "flock")
	cmd := exec.Command("go", "build", "-o", plain, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build flock: %v\n%s", err, text)
	}
	var exit *exec.ExitError
	if out, err := exec.Command(made, "agent", "serve").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("flock that carries agents serves: %q, %v", out, err)
	}
	// Nobody asks anything: it greets and ends.
	out, err := exec.Command(plain, "agent", "serve").Output()
	if err != nil || !strings.Contains(string(out), "flock/1 ") {
		t.Errorf("flock that was installed by Go says %q, %v", out, err)
	}
	if out, err := exec.Command(plain, "agent", "swerve").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("a command that is none: %q, %v", out, err)
	}
}
