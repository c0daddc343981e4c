//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopWithin is how long a daemon may take to end before it is killed.
const stopWithin = 3 * time.Second

// pid is the process that runs with p's configuration, 0 if there is none. The
// file alone proves nothing: the number may be somebody else's by now.
func (p process) pid() int {
	text, err := os.ReadFile(p.pidFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return 0
	}
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	if len(args) < 2 || filepath.Base(args[0]) != "dnsmasq" || args[1] != "--conf-file="+p.conf {
		return 0
	}
	return pid
}

func (p process) signal(sig unix.Signal) error {
	pid := p.pid()
	if pid == 0 {
		return nil
	}
	if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal dnsmasq (pid %d): %w", pid, err)
	}
	return nil
}

// restart starts dnsmasq as its own daemon, for hosts without systemd. It returns
// when dnsmasq listens, or with what dnsmasq found wrong.
func (p planned) restart(ctx context.Context) error {
	if err := p.stop(ctx); err != nil {
		return err
	}
	return program(ctx, p.program, "--conf-file="+p.conf)
}

// stop ends the process and waits until the kernel has closed its sockets. The
// pid file says nothing about that: dnsmasq removes it first.
func (p process) stop(ctx context.Context) error {
	pid := p.pid()
	if pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop dnsmasq (pid %d): %w", pid, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	if err := errors.Join(p.signal(unix.SIGTERM), awaitExit(ctx, fd, stopWithin)); err == nil || ctx.Err() != nil {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill dnsmasq (pid %d): %w", pid, err)
	}
	return awaitExit(ctx, fd, stopWithin)
}

// awaitExit waits for the end of a process: its descriptor becomes readable then
// (pidfd_open(2)).
func awaitExit(ctx context.Context, pidfd int, within time.Duration) error {
	const slice = 50 * time.Millisecond
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for end := time.Now().Add(within); time.Now().Before(end); {
		n, err := unix.Poll(fds, int(slice.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("await the end of dnsmasq: %w", err)
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("await the end of dnsmasq: %w", ctx.Err())
		}
	}
	return fmt.Errorf("await the end of dnsmasq: nothing within %v", within)
}
