//go:build linux

package unit

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/flocknet/flock/templates"
)

// Daemon is a process of the agent's own program that runs on when the session is
// over: a systemd unit, or a process of its own where there is no systemd. It
// writes its pid file itself. It is not enabled: the boot unit starts it.
type Daemon struct {
	Name        string // of its files: wg-DEV, resolve
	Mark        string // CLUSTER/NETWORK or CLUSTER
	Description string
	Args        []string // of the agent's program
	Enters      bool     // it goes into network namespaces
}

// PIDFile is the path of d's pid file.
func (c *Cluster) PIDFile(d Daemon) string { return filepath.Join(c.run, d.Name+PIDSuffix) }

// PID is d's process by its pid file, 0 if there is none or none can be found.
func (c *Cluster) PID(d Daemon) int {
	pid, err := PIDIn(c.PIDFile(d), d.is)
	if err != nil {
		return 0
	}
	return pid
}

// end ends d's process, if it has one.
func (c *Cluster) end(ctx context.Context, d Daemon) error {
	pid, err := c.find(d)
	if err != nil {
		return fmt.Errorf("stop %s: %w", d.Name, err)
	}
	return EndProcess(ctx, d.Name, pid)
}

func (c *Cluster) find(d Daemon) (int, error) { return FindProcess(c.PIDFile(d), d.is) }

// is says whether a process with these arguments is d's.
func (d Daemon) is(args []string) bool { return len(args) > 0 && slices.Equal(args[1:], d.Args) }

// Start starts d anew with this program and waits until it is ready. The error has what
// the daemon wrote.
func (c *Cluster) Start(ctx context.Context, d Daemon) error {
	if err := sysfile.MakeDir(c.run); err != nil {
		return err
	}
	if c.HasSystemd() {
		text, err := d.unitText()
		if err != nil {
			return err
		}
		if _, err := c.Put(ctx, d.Name, text); err != nil {
			return err
		}
		return Restart(ctx, c.Name(d.Name))
	}
	if err := c.end(ctx, d); err != nil {
		return err
	}
	self, err := OwnProgram()
	if err != nil {
		return err
	}
	said, err := listen()
	if err != nil {
		return fmt.Errorf("start %s: %w", d.Name, err)
	}
	defer func() { _ = said.Close() }() // the daemon has it open too
	cmd := exec.Command(self, d.Args...)
	cmd.Dir, cmd.Stderr = "/", said
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.Name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := c.await(ctx, d, ended); err != nil {
		if words := heard(said); words != "" {
			err = fmt.Errorf("%w; it said: %s", err, words)
		}
		return err
	}
	return nil
}

// daemonWithin is how long a daemon may take to be ready.
const daemonWithin = 10 * time.Second

// await waits for d's pid file, which it writes when it is ready.
func (c *Cluster) await(ctx context.Context, d Daemon, ended <-chan error) error {
	patience := time.NewTimer(daemonWithin)
	defer patience.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.PID(d) == 0 {
		select {
		case <-tick.C:
		case err := <-ended:
			advice := "run it by hand: flock " + strings.Join(d.Args, " ")
			return hint.Errorf("", advice, "start %s: it ended at once (%v)", d.Name, err)
		case <-patience.C:
			return fmt.Errorf("start %s: not ready within %v", d.Name, daemonWithin)
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", d.Name, ctx.Err())
		}
	}
	return nil
}

// unitText is the unit that runs d by this program.
func (d Daemon) unitText() (string, error) {
	self, err := OwnProgram()
	if err != nil {
		return "", err
	}
	return templates.DaemonUnit{Mark: d.Mark, Description: d.Description, Program: self, Args: d.Args, Enters: d.Enters}.Text()
}

// Stop ends d and removes its unit and its pid file.
func (c *Cluster) Stop(ctx context.Context, d Daemon) error {
	if err := c.Drop(ctx, d.Name); err != nil {
		return err
	}
	if err := c.end(ctx, d); err != nil {
		return err
	}
	return sysfile.Remove(c.PIDFile(d))
}

// Lost returns the units of the daemons that cannot go on to start their program, by name,
// with why: another version was installed and the old one removed, or in another place.
// Their processes still run.
func (c *Cluster) Lost(daemons []Daemon) (map[string]string, error) {
	lost := map[string]string{}
	for _, d := range daemons {
		unit, why, err := c.lost(d)
		if err != nil {
			return nil, err
		}
		if why != "" {
			lost[unit] = why
		}
	}
	return lost, nil
}

// lost is d's unit, and why it cannot go on; "": it can, or there is none.
func (c *Cluster) lost(d Daemon) (unit, why string, err error) {
	if unit, err = c.Former(d.Name); err != nil {
		return "", "", err
	}
	if unit == "" {
		unit = c.Name(d.Name)
	}
	text, err := sysfile.ReadIfThere(c.Path(unit))
	if text != "" {
		why = Lacks(ProgramOf(text))
	}
	return unit, why, err
}

// Repair makes the units that Lost finds start this program.
func (c *Cluster) Repair(ctx context.Context, daemons []Daemon) error {
	for _, d := range daemons {
		unit, why, err := c.lost(d)
		if err != nil {
			return err
		}
		if why == "" {
			continue
		}
		text, err := d.unitText()
		if err != nil {
			return err
		}
		if _, err := c.Load(ctx, unit, text); err != nil {
			return err
		}
	}
	return nil
}

// Ready is for the daemon itself: it writes the pid file and tells systemd (sd_notify(3))
// that the daemon works. The result removes the pid file.
func (c *Cluster) Ready(d Daemon) (done func() error, err error) {
	if err := sysfile.MakeDir(c.run); err != nil {
		return nil, err
	}
	if err := sysfile.Write(c.PIDFile(d), strconv.Itoa(os.Getpid())+"\n", 0o644, false); err != nil {
		return nil, err
	}
	if err := unheard(); err != nil {
		return nil, errors.Join(err, sysfile.Remove(c.PIDFile(d)))
	}
	done = func() error { return sysfile.Remove(c.PIDFile(d)) }
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return done, nil
	}
	conn, err := net.Dial("unixgram", socket)
	if err == nil {
		_, err = conn.Write([]byte("READY=1"))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tell systemd: %w", err), done())
	}
	return done, nil
}

// Devices lists what follows stem in the names of this cluster's units and pid files: the
// devices with a daemon. One may be listed twice.
func (c *Cluster) Devices(stem string) ([]string, error) {
	units, err := c.Ours()
	if err != nil {
		return nil, err
	}
	found, err := sysfile.List(c.run, stem, PIDSuffix)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []string
	for _, path := range found {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), stem), PIDSuffix))
	}
	for _, path := range units {
		if device, ok := strings.CutPrefix(c.DaemonOf(path), stem); ok {
			out = append(out, device)
		}
	}
	return out, nil
}

// Rename starts d anew if its unit has a former name.
func (c *Cluster) Rename(ctx context.Context, d Daemon) error {
	if former, err := c.Former(d.Name); err != nil || former == "" {
		return err
	}
	return c.Start(ctx, d)
}
