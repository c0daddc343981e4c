//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// stopWithin is how long a daemon may take to end before it is killed.
const stopWithin = 3 * time.Second

// pid is the process that runs with p's configuration, 0 if there is none, or none to be
// found: what stops it asks find.
func (p process) pid() int {
	pid, err := pidIn(p.pidFile, p.is)
	if err != nil {
		return 0
	}
	return pid
}

func (p process) find() (int, error) { return findProcess(p.pidFile, p.is) }

// is says whether a process with these arguments runs with p's configuration.
func (p process) is(args []string) bool {
	return len(args) >= 2 && filepath.Base(args[0]) == "dnsmasq" && args[1] == "--conf-file="+p.conf
}

// findProcess is pidIn, and where the file names none, a process of this server with such
// arguments all the same: pid files get lost.
func findProcess(file string, is func(args []string) bool) (int, error) {
	pid, err := pidIn(file, is)
	if err != nil || pid != 0 {
		return pid, err
	}
	all, own, err := processes()
	if err != nil {
		return 0, err
	}
	for _, pid := range all {
		line, err := sysfile.Read("/proc/" + pid + "/cmdline")
		if err != nil || !is(strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")) || !sharesNetwork(pid, own) {
			continue // or it has just ended
		}
		return strconv.Atoi(pid)
	}
	return 0, nil
}

// pidIn is the process that a pid file names, 0 if there is none with such
// arguments. The file alone proves nothing: the number may be somebody else's by now.
// An error says that there may be one.
func pidIn(file string, is func(args []string) bool) (int, error) {
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

// claimDHCP tries the configurations that ops would have dnsmasq run with: an old one,
// or one that was built without something, says here what it does not know.
func (s *services) claimDHCP(ctx context.Context, ops []Op) []spec.Problem {
	var out []spec.Problem
	for _, op := range ops {
		d, ok := op.Want.(spec.DHCP)
		if !ok {
			continue
		}
		plans, err := s.plan(d)
		if errors.Is(err, exec.ErrNotFound) {
			continue // which is a claim of its own
		}
		for _, p := range plans {
			if have, _ := sysfile.ReadIfThere(p.conf); err == nil && have != p.confText {
				err = p.try(ctx)
			}
		}
		if err != nil {
			out = append(out, spec.Problem{
				What: fmt.Sprintf("DHCP of %s: dnsmasq refuses its configuration: %v", d.Network, err),
				Next: "dnsmasq --version: flock needs 2.80 or newer, with DHCP",
			})
		}
	}
	return out
}

// tryDNSMasqWithin bounds that: it reads one file.
const tryDNSMasqWithin = 5 * time.Second

// try has dnsmasq read p's configuration and end.
func (p planned) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryDNSMasqWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.program, "--test", "--conf-file=-")
	cmd.Stdin = strings.NewReader(p.confText)
	said, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(said)); err != nil && ctx.Err() == nil && text != "" {
		return errors.New(strings.TrimPrefix(strings.ReplaceAll(text, "\n", " "), "dnsmasq: "))
	}
	return err
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
	pid, err := p.find()
	if err != nil {
		return fmt.Errorf("stop dnsmasq: %w", err)
	}
	return endProcess(ctx, "dnsmasq", pid)
}

// endProcess ends a process, by force if it does not listen, and waits until it is
// gone. No process has the number 0.
func endProcess(ctx context.Context, name string, pid int) error {
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
