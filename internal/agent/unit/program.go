//go:build linux

package unit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Run runs a program until it ends. Its error has what the program wrote.
func Run(ctx context.Context, name string, args ...string) error {
	_, err := Output(ctx, name, args...)
	return err
}

// Output is Run, and what the program wrote.
func Output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// A daemon may keep its parent's output open.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return said.String(), nil
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(text), " "))
	}
	return said.String(), fmt.Errorf("run %s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
}

// Ask is what a program says for programs, when it reads input; its error has what it says to
// people. It has this long.
func Ask(ctx context.Context, most time.Duration, input, name string, args ...string) (string, error) {
	path, err := LookPath(name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	cmd.WaitDelay = time.Second // a daemon may keep its parent's output open
	out, err := cmd.Output()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.Join(strings.Fields(said.String()), " "))
	}
	return string(out), nil
}

// LookPath returns the absolute path of a program, exec.ErrNotFound if there is none. It
// looks beside PATH too: on many systems that of a login by SSH has no sbin.
func LookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w", name, exec.ErrNotFound)
}

// sbin is where systemd looks beside /usr/bin.
var sbin = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// OwnProgram is the path of this program, even if its file was replaced while it runs
// (proc(5)).
func OwnProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the agent's own program: %w", err)
	}
	return strings.TrimSuffix(self, " (deleted)"), nil
}

// Lacks says why a unit cannot go on to start program; "": it can. A mount may forbid that
// (access(2)), or the agent's programs went to another place, where the old one is left.
func Lacks(program string) string {
	self, err := OwnProgram()
	switch {
	case unix.Access(program, unix.F_OK) != nil:
		return "its program is gone"
	case unix.Access(program, unix.X_OK) != nil:
		return "its program may not run"
	case err == nil && placeOf(program) != placeOf(self):
		return "its program is in another place"
	}
	return ""
}

// placeOf is where programs are of which this is a version.
func placeOf(program string) string { return filepath.Dir(filepath.Dir(program)) }

// ProgramOf returns the path of the program that the text of a unit starts, "" if none. A
// minus before it has systemd ignore how it ends (systemd.service(5)).
func ProgramOf(text string) string {
	for line := range strings.Lines(text) {
		if start, ok := strings.CutPrefix(line, "ExecStart="); ok {
			if fields := strings.Fields(start); len(fields) > 0 {
				return strings.TrimPrefix(fields[0], "-")
			}
		}
	}
	return ""
}
