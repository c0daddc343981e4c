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

// stop ends the process and waits until it is gone.
func (p process) stop(ctx context.Context) error {
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(stopWithin)
	defer patience.Stop()
	for p.pid() != 0 {
		select {
		case <-tick.C:
		case <-patience.C:
			if err := p.signal(unix.SIGKILL); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("stop dnsmasq: %w", ctx.Err())
		}
	}
	return nil
}
