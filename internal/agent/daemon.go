//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/templates"
)

// daemon is a process of the agent's own program that runs on when the session is
// over: a systemd unit, or a process of its own where there is no systemd. It
// writes its pid file itself. It is not enabled: the boot unit starts it.
type daemon struct {
	name        string // of its files: wg-DEV, resolve
	mark        string // CLUSTER/NETWORK or CLUSTER
	description string
	args        []string // of the agent's program
}

func (s *services) pidFile(d daemon) string { return filepath.Join(s.runDir(), d.name+pidSuffix) }

// pidOf is d's process, 0 if there is none, or none to be found: what ends it asks find.
func (s *services) pidOf(d daemon) int {
	pid, err := pidIn(s.pidFile(d), d.is)
	if err != nil {
		return 0
	}
	return pid
}

// end ends d's process, if it has one.
func (s *services) end(ctx context.Context, d daemon) error {
	pid, err := s.find(d)
	if err != nil {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	return endProcess(ctx, d.name, pid)
}

func (s *services) find(d daemon) (int, error) { return findProcess(s.pidFile(d), d.is) }

// is says whether a process with these arguments is d's.
func (d daemon) is(args []string) bool { return len(args) > 0 && slices.Equal(args[1:], d.args) }

// startDaemon starts d anew with this program.
func (s *services) startDaemon(ctx context.Context, d daemon) error {
	if err := sysfile.MakeDir(s.runDir()); err != nil {
		return err
	}
	if s.hasSystemd() {
		text, err := d.unitText()
		if err != nil {
			return err
		}
		if _, err := s.putUnit(ctx, d.name, text); err != nil {
			return err
		}
		return restartUnit(ctx, s.unitName(d.name))
	}
	if err := s.end(ctx, d); err != nil {
		return err
	}
	self, err := ownProgram()
	if err != nil {
		return err
	}
	said, err := listen()
	if err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	defer func() { _ = said.Close() }() // the daemon has it open too
	cmd := exec.Command(self, d.args...)
	cmd.Dir, cmd.Stderr = "/", said
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := s.awaitDaemon(ctx, d, ended); err != nil {
		if words := heard(said); words != "" {
			err = fmt.Errorf("%w; it said: %s", err, words)
		}
		return err
	}
	return nil
}

// daemonWithin is how long a daemon may take to be ready.
const daemonWithin = 10 * time.Second

// awaitDaemon waits for d's pid file, which it writes when it is ready.
func (s *services) awaitDaemon(ctx context.Context, d daemon, ended <-chan error) error {
	patience := time.NewTimer(daemonWithin)
	defer patience.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.pidOf(d) == 0 {
		select {
		case <-tick.C:
		case err := <-ended:
			advice := "run it by hand: flock " + strings.Join(d.args, " ")
			return hint.Errorf("", advice, "start %s: it ended at once (%v)", d.name, err)
		case <-patience.C:
			return fmt.Errorf("start %s: not ready within %v", d.name, daemonWithin)
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", d.name, ctx.Err())
		}
	}
	return nil
}

// ownProgram is the path of this program, which may have been replaced while it
// runs: proc(5).
func ownProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the agent's own program: %w", err)
	}
	return strings.TrimSuffix(self, " (deleted)"), nil
}

// unitText is the unit that runs d by this program.
func (d daemon) unitText() (string, error) {
	self, err := ownProgram()
	if err != nil {
		return "", err
	}
	return templates.DaemonUnit{Mark: d.mark, Description: d.description, Program: self, Args: d.args}.Text()
}

// stopDaemon ends d and removes what it had.
func (s *services) stopDaemon(ctx context.Context, d daemon) error {
	if err := s.dropUnit(ctx, d.name); err != nil {
		return err
	}
	if err := s.end(ctx, d); err != nil {
		return err
	}
	return sysfile.Remove(s.pidFile(d))
}

// lostUnits are the units of the daemons of h that name a program which is gone, with
// the text that they should have: another version was installed and the old one swept.
// What runs, runs on.
func (s *services) lostUnits(h *spec.Host) (map[string]string, error) {
	lost := map[string]string{}
	for _, d := range s.daemonsOf(h) {
		unit, err := s.former(d.name)
		if err != nil {
			return nil, err
		}
		if unit == "" {
			unit = s.unitName(d.name)
		}
		text, err := sysfile.ReadIfThere(s.unitPath(unit))
		if err != nil {
			return nil, err
		}
		if text == "" || sysfile.Exists(unitProgram(text)) {
			continue
		}
		if lost[unit], err = d.unitText(); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// repairUnits makes the units of want's daemons start this program where the one that
// they name is gone.
func (s *services) repairUnits(ctx context.Context, want *spec.Host) error {
	lost, err := s.lostUnits(want)
	if err != nil {
		return err
	}
	for _, unit := range slices.Sorted(maps.Keys(lost)) {
		if _, err := s.loadUnit(ctx, unit, lost[unit]); err != nil {
			return err
		}
	}
	return nil
}

// ready is for the daemon itself: it says that it is at work, to who reads the pid
// file and to systemd (sd_notify(3)). The result takes that back.
func (s *services) ready(d daemon) (done func() error, err error) {
	if err := sysfile.MakeDir(s.runDir()); err != nil {
		return nil, err
	}
	if err := sysfile.Write(s.pidFile(d), strconv.Itoa(os.Getpid())+"\n", 0o644, false); err != nil {
		return nil, err
	}
	if err := unheard(); err != nil {
		return nil, errors.Join(err, sysfile.Remove(s.pidFile(d)))
	}
	done = func() error { return sysfile.Remove(s.pidFile(d)) }
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return done, nil
	}
	c, err := net.Dial("unixgram", socket)
	if err == nil {
		_, err = c.Write([]byte("READY=1"))
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tell systemd: %w", err), done())
	}
	return done, nil
}
