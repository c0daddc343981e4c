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

// agentMost is the size that the program of most servers may have on amd64, in bytes:
// each of them is sent it at first contact, and starts it at every command.
const agentMost = 7_500_000

// TestAgentStaysSmall: one type too many behind an interface can keep all of a library in
// the program.
func TestAgentStaysSmall(t *testing.T) {
	out := filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-buildvcs=false", "-o", out, "./agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, text)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > agentMost {
		t.Errorf("the agent has %d bytes, want at most %d: what does it keep that it did not before?", info.Size(), agentMost)
	}
}
