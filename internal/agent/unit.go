//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
)

// program runs a program and returns its error with what it said.
func program(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// A daemon may keep its parent's output open.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(text), " "))
	}
	return fmt.Errorf("run %s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
}

// sbin is where systemd looks besides /usr/bin; other directories in tests.
var sbin = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// lookProgram finds a program, also where no PATH leads: a login by SSH has no sbin in
// its own on many systems.
func lookProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w", name, exec.ErrNotFound)
}

// hasSystemd is sd_booted(3).
func (s *services) hasSystemd() bool { return sysfile.Exists(s.paths.systemd) }

const unitPrefix, unitSuffix = "flock-", ".service"

// unitName is how the unit of one of this cluster's daemons is called. A '-' of the
// cluster's name is a ':' there, which no name has: else network b-dns-c of cluster a and
// c of a-dns-b would have one unit.
func (s *services) unitName(daemon string) string {
	return unitPrefix + strings.ReplaceAll(s.cluster, "-", ":") + "-" + daemon + unitSuffix
}

// formerName is how agents called the same unit before they knew that.
func (s *services) formerName(daemon string) string {
	return unitPrefix + s.cluster + "-" + daemon + unitSuffix
}

// daemonOf is the daemon whose unit the file at path is, one of this cluster's.
func (s *services) daemonOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), unitSuffix)
	for _, full := range []string{s.unitName(""), s.formerName("")} {
		if daemon, ok := strings.CutPrefix(name, strings.TrimSuffix(full, unitSuffix)); ok {
			return daemon
		}
	}
	return ""
}

// former is the unit of this cluster that an agent before called otherwise, "" if there
// is none.
func (s *services) former(daemon string) (string, error) {
	name := s.formerName(daemon)
	if name == s.unitName(daemon) {
		return "", nil
	}
	mark, err := sysfile.Mark(s.unitPath(name))
	if cluster, _, _ := strings.Cut(mark, "/"); err != nil || cluster != s.cluster {
		return "", err
	}
	return name, nil
}

// unitThere says whether a daemon has a unit, by whichever name.
func (s *services) unitThere(daemon string) bool {
	former, err := s.former(daemon)
	return sysfile.Exists(s.unitPath(s.unitName(daemon))) || err == nil && former != ""
}

// ourUnits lists the paths of the systemd units of this cluster, those with a former name
// included.
func (s *services) ourUnits() ([]string, error) {
	begins := []string{strings.TrimSuffix(s.unitName(""), unitSuffix), strings.TrimSuffix(s.formerName(""), unitSuffix)}
	var ours []string
	for _, begin := range slices.Compact(begins) {
		found, err := sysfile.List(s.paths.units, begin, unitSuffix)
		if err != nil {
			return nil, fmt.Errorf("list units: %w", err)
		}
		for _, path := range found {
			// A former name may be another cluster's: the mark decides.
			mark, err := sysfile.Mark(path)
			if err != nil {
				return nil, err
			}
			if cluster, _, _ := strings.Cut(mark, "/"); cluster == s.cluster {
				ours = append(ours, path)
			}
		}
	}
	return ours, nil
}

func (s *services) unitPath(unit string) string { return filepath.Join(s.paths.units, unit) }

// putUnit writes the unit of a daemon and makes systemd know it. What an agent before
// wrote under another name is stopped first: two units with one pid file would end each
// other. The result says whether the text differs from what was there.
func (s *services) putUnit(ctx context.Context, daemon, text string) (bool, error) {
	unit := s.unitName(daemon)
	if former, err := s.former(daemon); err != nil {
		return false, err
	} else if former != "" {
		if err := s.dropFile(ctx, former); err != nil {
			return false, err
		}
	}
	mark, err := sysfile.Mark(s.unitPath(unit))
	if err != nil {
		return false, err
	}
	if owner, _, _ := strings.Cut(mark, "/"); owner != "" && owner != s.cluster {
		return false, hint.Errorf(s.unitPath(unit), "flock --cluster "+owner+" apply, which gives its unit another name",
			"write unit %s: cluster %s has one of that name", unit, owner)
	}
	return s.loadUnit(ctx, unit, text)
}

func (s *services) loadUnit(ctx context.Context, unit, text string) (bool, error) {
	path := s.unitPath(unit)
	return s.loadFile(ctx, loaded{
		path: path, text: text, durable: unit == bootUnit,
		known:  sysfile.Exists(path), // what it does not know, systemd reads by itself
		reload: func(ctx context.Context) error { return program(ctx, "systemctl", "daemon-reload") },
	})
}

// loaded is a file that some daemon holds in memory.
type loaded struct {
	path, text string // no text: no file
	durable    bool   // as writeFile's
	known      bool   // the daemon may have read it
	reload     func(context.Context) error
}

// unread is a note that the daemon whose file this is has not read it since it was
// written. It is gone after a reboot, and so is what the daemon had in memory.
func (s *services) unread(path string) string {
	return filepath.Join(s.runDir(), "unread-"+filepath.Base(path))
}

// loadFile writes a file and makes the daemon that holds it read it. Should this process
// end between the two, a note tells the next one: a file that is right is no proof that it
// was read. The result says whether anything was done.
func (s *services) loadFile(ctx context.Context, f loaded) (bool, error) {
	have, err := sysfile.ReadIfThere(f.path)
	if err != nil {
		return false, err
	}
	note := s.unread(f.path)
	told := !sysfile.Exists(note) && (have == f.text || !f.known)
	if have == f.text && told {
		return false, nil
	}
	if !told {
		if err := errors.Join(sysfile.MakeDir(s.runDir()), sysfile.Write(note, "", 0o600, false)); err != nil {
			return false, err
		}
	}
	switch {
	case f.text == "":
		err = sysfile.Remove(f.path)
	case have != f.text:
		if err = os.MkdirAll(filepath.Dir(f.path), 0o755); err == nil {
			err = sysfile.Write(f.path, f.text, 0o644, f.durable)
		}
	}
	if err != nil || told {
		return true, err
	}
	if err := f.reload(ctx); err != nil {
		return true, err
	}
	return true, sysfile.Remove(note)
}

// restartUnit starts unit anew.
func restartUnit(ctx context.Context, unit string) error {
	since := time.Now()
	err := program(ctx, "systemctl", "restart", unit)
	if err == nil {
		return nil
	}
	// The start limit, after a series of crashes that are now repaired.
	if program(ctx, "systemctl", "reset-failed", unit) == nil && program(ctx, "systemctl", "restart", unit) == nil {
		return nil
	}
	return unitError(ctx, unit, since, err)
}

// dropUnit stops the unit of a daemon and removes its file, by whichever name.
func (s *services) dropUnit(ctx context.Context, daemon string) error {
	former, err := s.former(daemon)
	if err != nil {
		return err
	}
	for _, unit := range []string{former, s.unitName(daemon)} {
		if unit == "" {
			continue
		}
		if err := s.dropFile(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

// dropFile stops unit and removes its file. systemd forgets a unit that is stopped
// and that nothing refers to: no listing shows it, without a reload.
func (s *services) dropFile(ctx context.Context, unit string) error {
	if !sysfile.Exists(s.unitPath(unit)) {
		return nil
	}
	if s.hasSystemd() {
		if err := program(ctx, "systemctl", "stop", unit); err != nil {
			return err
		}
		// Fails unless the unit is in state failed, which a listing would show.
		_ = program(ctx, "systemctl", "reset-failed", unit)
	}
	return sysfile.Remove(s.unitPath(unit), s.unread(unit))
}
