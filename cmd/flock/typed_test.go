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
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
)

// typist is what this test binary is called with to be the person at a terminal.
const typist = "at-a-terminal"

// quietFor is after how long without a word a command waits for what nobody types.
const quietFor = time.Minute

// atTerminal runs argv on a terminal of its own, and answers what it asks: each line of answers is
// what it prints and, after a bar, what is typed whenever it does, as soon as the terminal does not
// show it. What the terminal shows goes to standard output. It returns the exit status.
func atTerminal(answers string, argv []string) (int, error) {
	typist, terminal, err := openTerminal()
	if err != nil {
		return 0, err
	}
	defer typist.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := errors.Join(cmd.Start(), terminal.Close()); err != nil {
		return 0, err
	}
	late := time.AfterFunc(quietFor, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	shown, buf := "", make([]byte, 4096)
	for {
		n, err := typist.Read(buf)
		_, _ = os.Stdout.Write(buf[:n])
		shown += string(buf[:n])
		late.Reset(quietFor)
		for line := range strings.Lines(answers) {
			what, text, _ := strings.Cut(line, "|")
			if _, after, found := strings.Cut(shown, what); found {
				shown = after
				if err := hidden(typist); err != nil {
					return 0, err
				}
				if _, err := io.WriteString(typist, text); err != nil {
					return 0, err
				}
			}
		}
		if err != nil { // nobody has the terminal open any more
			break
		}
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// openTerminal returns both ends of a new pseudo terminal (pty(7)).
func openTerminal() (typist, terminal *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	typist = os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, typist.Close())
	}
	return typist, terminal, nil
}

// hidden waits until the terminal does not show what is typed.
func hidden(typist *os.File) error {
	tick, late := time.NewTicker(5*time.Millisecond), time.After(quietFor)
	defer tick.Stop()
	for {
		t, err := unix.IoctlGetTermios(int(typist.Fd()), unix.TCGETS)
		if err != nil || t.Lflag&unix.ECHO == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-late:
			return errors.New("the terminal shows what is typed")
		}
	}
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
