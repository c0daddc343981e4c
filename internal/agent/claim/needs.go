//go:build linux

package claim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// What an apply writes to and whom it asks is looked at while planning: a server that
// cannot take a change says so before any other has taken it.

const (
	// leastRoom is what an apply must find free where it writes: a spec of a thousand
	// members is some 100 KB, twice while it is replaced.
	leastRoom   = 256 << 10
	leastInodes = 16
)

// Lacks says what stands in the way of steps, which ops are a part of, beside the
// network: directories that take no files, and systemd.
func Lacks(ctx context.Context, s *host.Files, table []*family.Family, ops []family.Op, steps []spec.Step) []spec.Problem {
	if len(steps) == 0 {
		return nil
	}
	dirs := []string{s.Dir(), s.RunDir()}
	if s.Units.HasSystemd() {
		dirs = append(dirs, s.Paths.Units)
	}
	asked := slices.ContainsFunc(steps, func(st spec.Step) bool {
		return st.Action == spec.Change && strings.HasPrefix(st.Object, "unit ")
	})
	for _, op := range ops {
		if files := table[op.Family].Files; files != nil {
			more, systemd := files(s, op)
			dirs, asked = append(dirs, more...), asked || systemd
		}
	}
	var out []spec.Problem
	for _, dir := range dirs {
		if p := claimDir(dir); p != nil && !slices.Contains(out, *p) {
			out = append(out, *p)
		}
	}
	if asked && s.Units.HasSystemd() {
		if p := claimSystemd(ctx, s); p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// claimDir says why no files can be made in dir, which need not be there; nil if they
// can. It writes nothing.
func claimDir(dir string) *spec.Problem {
	info, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	}
	if errors.Is(err, unix.ENOTDIR) || err == nil && !info.IsDir() {
		for ; err != nil && filepath.Dir(dir) != dir; _, err = os.Stat(dir) {
			dir = filepath.Dir(dir)
		}
		return &spec.Problem{What: dir + " is no directory", Next: "mv " + dir + " elsewhere"}
	}
	if err == nil {
		err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return &spec.Problem{What: fmt.Sprintf("no files can be made in %s: %v", dir, host.BareErrno(err)), Next: host.MendDir(dir, err)}
	}
	var on unix.Statfs_t
	if err := unix.Statfs(dir, &on); err != nil {
		return nil // a file system that says nothing about itself
	}
	if free := on.Bfree * uint64(on.Bsize); free < leastRoom && on.Blocks > 0 {
		return &spec.Problem{
			What: fmt.Sprintf("no room in %s: %d KiB are free, an apply takes up to %d", dir, free>>10, leastRoom>>10),
			Next: host.MendDir(dir, unix.ENOSPC),
		}
	}
	if on.Files > 0 && on.Ffree < leastInodes {
		return &spec.Problem{
			What: fmt.Sprintf("no room in %s: %d more files can be made, an apply takes up to %d", dir, on.Ffree, leastInodes),
			Next: host.MendDir(dir, unix.ENOSPC),
		}
	}
	return nil
}

// systemdWithin bounds how long systemd may take to greet.
const systemdWithin = 5 * time.Second

// claimSystemd says why units cannot be started. The first words of D-Bus, which
// systemd's own process answers on its private socket, tell that it is alive, without
// a program to be started.
func claimSystemd(ctx context.Context, s *host.Files) *spec.Problem {
	if _, err := unit.LookPath("systemctl"); err != nil {
		return &spec.Problem{What: "systemctl is not installed, and this server runs systemd", Next: "apt-get install systemd"}
	}
	ctx, cancel := context.WithTimeout(ctx, systemdWithin)
	defer cancel()
	if err := greetSystemd(ctx, filepath.Join(filepath.Dir(s.Paths.Systemd), "private")); err != nil {
		return &spec.Problem{What: fmt.Sprintf("systemd does not answer: %v", host.BareErrno(err)), Next: "systemctl is-system-running"}
	}
	return nil
}

// greetSystemd begins to authenticate as root (D-Bus specification, SASL EXTERNAL).
// Where there is no such socket, systemctl is asked, which knows another way.
func greetSystemd(ctx context.Context, socket string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) {
		return unit.Run(ctx, "systemctl", "show", "--property=Version")
	}
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it owes us nothing
	until, _ := ctx.Deadline()
	if err := c.SetDeadline(until); err != nil {
		return err
	}
	if _, err := c.Write([]byte("\x00AUTH EXTERNAL 30\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "OK ") {
		err = fmt.Errorf("it says %q", strings.TrimSpace(line))
	}
	return err
}
