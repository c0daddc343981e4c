//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

const (
	// requestWithin bounds what one request may take: who does not come to an end must
	// not hold the server's lock for good. Hundreds of networks take seconds.
	requestWithin = 3 * time.Minute
	// watchdogSlack is what an agent may take beside its apply, the wait for the
	// confirmation and the way back, each of which has a limit, before it is taken for
	// one that hangs.
	watchdogSlack = time.Minute
	// watchdogLock is how long a watchdog waits for the lock: for whoever came before it,
	// and does not confirm anything either.
	watchdogLock = 10 * time.Minute
)

// disarmed is what a watchdog is told when there is nothing to take back any more.
const disarmed = "disarmed"

// watchdog is a process that takes a change back should the agent that makes it be killed,
// or hang. It is there before the first change.
type watchdog struct{ pipe *os.File }

// startWatchdog starts one for a change that is to be confirmed or taken back within that
// time. It belongs to no terminal and keeps none of our streams open: what ends a
// connection does not end it.
func startWatchdog(s *host.Files, within time.Duration) (*watchdog, error) {
	self, err := unit.OwnProgram()
	if err != nil {
		return nil, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	defer func() { _ = in.Close() }() // the process has it
	cmd := exec.Command(self, "agent", "undo", s.Cluster)
	cmd.Dir, cmd.Stdin = "/", in
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the watchdog: %w", err), out.Close())
	}
	_, err = fmt.Fprintf(out, "%d %d\n", os.Getpid(), int((within + watchdogSlack).Seconds()))
	return &watchdog{out}, errors.Join(err, cmd.Process.Release())
}

// disarm sends w home; nil is none.
func (w *watchdog) disarm() {
	if w == nil || w.pipe == nil {
		return
	}
	_, _ = w.pipe.WriteString(disarmed) // one that is gone already takes nothing back
	_ = w.pipe.Close()
	w.pipe = nil
}

// Undo is the watchdog's process: in is a pipe from the agent that makes a change. When
// that ends without a word, the agent is dead, and what it did is taken back, as far as
// nobody has confirmed it. An agent that does not breathe was stopped, one that is still
// there when its time is over hangs: it is killed first.
func Undo(ctx context.Context, cluster string, in io.Reader, log io.Writer) error {
	defer unix.Umask(unix.Umask(fileMask))
	var agent, seconds int
	if _, err := fmt.Fscanln(in, &agent, &seconds); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return takeBack(ctx, cluster, log)
	} else if err != nil {
		return fmt.Errorf("hear the agent: %w", err)
	}
	ended := make(chan bool, 1)
	go func() {
		word, err := io.ReadAll(in)
		ended <- err == nil && string(word) == disarmed
	}()
	late := time.NewTimer(time.Duration(seconds) * time.Second)
	defer late.Stop()
	breath := time.NewTicker(host.Beat)
	defer breath.Stop()
	for {
		select {
		case disarmed := <-ended:
			if disarmed {
				return nil
			}
			return takeBack(ctx, cluster, log)
		case <-breath.C:
			if !host.Breathless(agent) {
				continue
			}
		case <-late.C:
		}
		// Only a parent's number is surely nobody else's yet.
		if os.Getppid() == agent {
			if err := unix.Kill(agent, unix.SIGKILL); err != nil {
				return fmt.Errorf("end an agent that hangs: %w", err)
			}
		}
		return takeBack(ctx, cluster, log)
	}
}

// takeBack makes the server what was confirmed last, if a change was begun and nobody who
// could end it is there any more.
func takeBack(ctx context.Context, cluster string, log io.Writer) (err error) {
	paths := host.ServerPaths()
	l, err := host.TakeLock(ctx, paths.LockPath(), "flock agent undo", "", watchdogLock, func(string) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release(!sysfile.Exists(paths.Lib))) }()
	s := host.NewFiles(cluster)
	if !s.Begun() {
		return nil
	}
	last := s.Last()
	if last == nil && s.Lost[spec.SpecFile] {
		return errors.Join(s.ErrorForgot(), s.EndChange())
	}
	if last == nil { // the first change
		last = &spec.Host{Cluster: cluster}
	}
	k, err := Open(cluster)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return k.backTo(ctx, last, func(line string) { fmt.Fprintln(log, line) })
}
