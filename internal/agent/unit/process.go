//go:build linux

package unit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"golang.org/x/sys/unix"
)

// FindProcess is PIDIn. If the file names no process, it looks for one with such arguments
// in this network namespace: pid files get lost.
func FindProcess(file string, is func(args []string) bool) (int, error) {
	pid, err := PIDIn(file, is)
	if err != nil || pid != 0 {
		return pid, err
	}
	all, own, err := Processes()
	if err != nil {
		return 0, err
	}
	for _, pid := range all {
		line, err := sysfile.Read("/proc/" + pid + "/cmdline")
		if err != nil || !is(strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")) || !SharesNetwork(pid, own) {
			continue // or it has just ended
		}
		return strconv.Atoi(pid)
	}
	return 0, nil
}

// PIDIn is the process that a pid file names, 0 if it has no such arguments: the number may
// belong to another process by now. An error says that there may be one.
func PIDIn(file string, is func(args []string) bool) (int, error) {
	text, err := sysfile.ReadIfThere(file)
	if errors.Is(err, unix.EISDIR) {
		return 0, nil // whoever starts the process finds out that it cannot write there
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid <= 1 {
		return 0, nil //nolint:nilerr // an empty or damaged file names nobody
	}
	line, err := sysfile.ReadIfThere(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if errors.Is(err, unix.ESRCH) {
		return 0, nil // it ended while it was looked at
	}
	if err != nil {
		return 0, err
	}
	if !is(strings.Split(strings.TrimSuffix(line, "\x00"), "\x00")) {
		return 0, nil
	}
	return pid, nil
}

// EndProcess ends a process, by force if it ignores SIGTERM for 3 s, and waits until it is
// gone. Errors call it name. With the number 0 there is nothing to do.
func EndProcess(ctx context.Context, name string, pid int) error {
	if pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop %s (pid %d): %w", name, pid, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	err = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
	if err == nil {
		err = awaitExit(ctx, fd, stopWithin)
	}
	if err == nil || errors.Is(err, unix.ESRCH) {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stop %s (pid %d): %w", name, pid, err)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill %s (pid %d): %w", name, pid, err)
	}
	if err := awaitExit(ctx, fd, stopWithin); err != nil {
		return fmt.Errorf("kill %s (pid %d): %w", name, pid, err)
	}
	return nil
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
			return fmt.Errorf("await its end: %w", err)
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("await its end: %w", ctx.Err())
		}
	}
	return fmt.Errorf("await its end: nothing within %v", within)
}

// stopWithin is how long a daemon may take to end before it is killed.
const stopWithin = 3 * time.Second

// OwnNetwork is the link that names the network namespace of this process. Tests, whose
// threads have namespaces of their own, look below /proc/thread-self: a process that did
// is slow to reap (2 ms where fifty end at once), because the kernel then throws the
// directories of its threads and its own out of the same cache.
var OwnNetwork = "/proc/self/ns/net"

// Processes lists the numbers of all processes. Own names this process's network namespace,
// for SharesNetwork.
func Processes() (pids []string, own string, err error) {
	all, err := sysfile.Names("/proc")
	if err != nil {
		return nil, "", fmt.Errorf("list processes: %w", err)
	}
	if own, err = os.Readlink(OwnNetwork); err != nil {
		return nil, "", fmt.Errorf("find the network namespace: %w", err)
	}
	return slices.DeleteFunc(all, func(name string) bool { _, err := strconv.Atoi(name); return err != nil }), own, nil
}

// SharesNetwork says whether a process is in the network namespace own.
func SharesNetwork(pid, own string) bool {
	space, err := os.Readlink("/proc/" + pid + "/ns/net")
	return err == nil && space == own
}
