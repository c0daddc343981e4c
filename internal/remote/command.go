package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/flocknet/flock/internal/hint"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Command runs a line of the login's shell, as the login and without input, and writes what it
// prints as it comes. It returns the exit status, of a
// signal 128 and its number; there is no bound in time. When ctx ends nobody
// waits for it any more; a command without a terminal may go on. Errors wrap ErrUnreachable where the connection broke.
func (c *Conn) Command(ctx context.Context, line string, out, errs io.Writer) (status int, err error) {
	if c.link == nil {
		status, err = localCommand(ctx, line, out, errs)
	} else {
		status, err = c.link.command(ctx, line, out, errs)
	}
	var signal signalError
	if errors.As(err, &signal) { // as shells have it
		return 128 + int(unix.SignalNum("SIG"+string(signal))), nil
	}
	return status, hint.With(err, c.target.where(), "")
}

func localCommand(ctx context.Context, line string, out, errs io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctx ends its children, too
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGHUP) }
	cmd.WaitDelay = closing
	err := cmd.Run()
	var exit *exec.ExitError
	errors.As(err, &exit)
	switch signal, signalled := exitSignal(exit); {
	case ctx.Err() != nil:
		return lost, context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay): // it ended, and left a child that has its output open
		return cmd.ProcessState.ExitCode(), nil
	case exit != nil && exit.Exited():
		return exit.ExitCode(), nil
	case signalled:
		return lost, signalError(signal)
	case err != nil:
		return lost, fmt.Errorf("start command: %w", err)
	}
	return 0, nil
}

func (l *link) command(ctx context.Context, line string, out, errs io.Writer) (int, error) {
	session, _, err := l.session()
	if err != nil {
		return lost, err
	}
	defer session.Close() //nolint:errcheck // its end was reported
	session.Stdout, session.Stderr = out, errs
	defer context.AfterFunc(ctx, func() {
		_ = session.Signal(ssh.SIGHUP) // a server that does not take it ends it with the connection
		l.breakOff(context.Cause(ctx))
	})()
	if err := session.Start(line); err != nil {
		return lost, l.lost(fmt.Errorf("start command: %w", err))
	}
	return l.await(session)
}

// SSHArgs are the arguments with which ssh(1) logs in to t as a Dialer does.
func (d *Dialer) SSHArgs(t Target) []string {
	var args []string
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	add("-F", d.SSHConfig)
	add("-l", t.User)
	if t.Port != 0 {
		add("-p", strconv.Itoa(int(t.Port)))
	}
	add("-i", t.Identity)
	add("-J", t.Jump)
	if d.Anew {
		add("-o", "ControlPath=none")
	}
	if d.AcceptNew {
		add("-o", "StrictHostKeyChecking=accept-new")
	}
	return append(args, "--", t.alias())
}
