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
// each of them is sent it at first contact, and starts it at every command. Guests of libvirt's
// took 77 KB of it: their files are read there, by a reader of XML of a tenth of the standard one's size.
const agentMost = 7_410_000

// agentBGPMost is that of the program of servers that run BGP: what it needed when the
// bound was set, and 2 percent.
const agentBGPMost = 22_560_000

// TestAgentsStaySmall: one type too many behind an interface can keep all of a library in
// a program.
func TestAgentsStaySmall(t *testing.T) {
	const bare = "-gcflags=github.com/google/nftables/...=-l"
	flags := map[string][]string{"agent": {"-gcflags=github.com/flocknet/flock/...=-l", bare}, "agentbgp": {bare}} // as in the Makefile
	for name, most := range map[string]int64{"agent": agentMost, "agentbgp": agentBGPMost} {
		out := filepath.Join(t.TempDir(), name)
		args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-buildvcs=false"}, flags[name]...)
		cmd := exec.Command("go", append(args, "-o", out, "./"+name)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, text)
		}
		info, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s has %d bytes", name, info.Size())
		if info.Size() > most {
			t.Errorf("%s has %d bytes, want at most %d: what does it keep that it did not before?", name, info.Size(), most)
		}
	}
}
