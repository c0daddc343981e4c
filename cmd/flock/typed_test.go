//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flocknet/flock/internal/lab"
)

// typist is what this test binary is called with to be the person at a terminal.
const typist = "at-a-terminal"

// quietFor is after how long without a word a command waits for what nobody types.
const quietFor = time.Minute

// atTerminal runs argv on a terminal of its own (script(1)), and answers what it asks: each line
// of answers is what it prints and, after a bar, what is typed whenever it does. What the terminal shows goes
// to standard output. It returns the exit status.
func atTerminal(answers string, argv []string) (int, error) {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	cmd := exec.Command("script", "-qec", strings.Join(words, " "), "/dev/null")
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh")
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	late := time.AfterFunc(quietFor, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	shown, buf := "", make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		_, _ = os.Stdout.Write(buf[:n])
		shown += string(buf[:n])
		late.Reset(quietFor)
		for line := range strings.Lines(answers) {
			what, text, _ := strings.Cut(line, "|")
			if _, after, found := strings.Cut(shown, what); found {
				shown = after
				if _, err := io.WriteString(in, text); err != nil {
					return 0, err
				}
			}
		}
		if err != nil {
			break
		}
	}
	err = errors.Join(in.Close(), cmd.Wait())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// beTypist is the main of the test binary when it is called as the person.
func beTypist(args []string) int {
	answers, err := os.ReadFile(args[0])
	status := 0
	if err == nil {
		status, err = atTerminal(string(answers), args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	return status
}

// verbTyped runs a command on the laptop's terminal.
func verbTyped(_ context.Context, w *walk, ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return usage("typed ANSWERS CMD...")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inside := w.lab.Command(context.Background(), lab.Laptop, args[1:]...)
	if inside.Err != nil {
		return inside.Err
	}
	return ts.Exec(self, append([]string{typist, ts.MkAbs(args[0])}, inside.Args...)...)
}
