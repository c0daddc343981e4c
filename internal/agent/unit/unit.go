//go:build linux

package unit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
)

// HasSystemd says whether systemd is the init here, as sd_booted(3) does.
func (c *Cluster) HasSystemd() bool { return sysfile.Exists(c.systemd) }

const prefix = "flock-"

// Suffix is what the names of units end with.
const Suffix = ".service"

// Name is the name of the unit of one of this cluster's daemons. A '-' of the cluster's
// name is a ':' there, which no name has: otherwise network b-dns-c of cluster a and c of
// a-dns-b would share one unit.
func (c *Cluster) Name(daemon string) string {
	return prefix + strings.ReplaceAll(c.name, "-", ":") + "-" + daemon + Suffix
}

// FormerName is the name that earlier agents gave the same unit.
func (c *Cluster) FormerName(daemon string) string {
	return prefix + c.name + "-" + daemon + Suffix
}

// DaemonOf is the name of this cluster's daemon that has the unit file at path, "" if none
// of them has.
func (c *Cluster) DaemonOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), Suffix)
	for _, full := range []string{c.Name(""), c.FormerName("")} {
		if daemon, ok := strings.CutPrefix(name, strings.TrimSuffix(full, Suffix)); ok {
			return daemon
		}
	}
	return ""
}

// Former is the name of the unit that an earlier agent wrote for a daemon, "" if there is
// none of this cluster.
func (c *Cluster) Former(daemon string) (string, error) {
	name := c.FormerName(daemon)
	if name == c.Name(daemon) {
		return "", nil
	}
	mark, err := sysfile.Mark(c.Path(name))
	if cluster, _, _ := strings.Cut(mark, "/"); err != nil || cluster != c.name {
		return "", err
	}
	return name, nil
}

// Installed says whether a daemon has a unit file, by either name.
func (c *Cluster) Installed(daemon string) bool {
	former, err := c.Former(daemon)
	return sysfile.Exists(c.Path(c.Name(daemon))) || err == nil && former != ""
}

// Ours lists the paths of the unit files of this cluster, by either name.
func (c *Cluster) Ours() ([]string, error) {
	begins := []string{strings.TrimSuffix(c.Name(""), Suffix), strings.TrimSuffix(c.FormerName(""), Suffix)}
	var ours []string
	for _, begin := range slices.Compact(begins) {
		found, err := sysfile.List(c.dir, begin, Suffix)
		if err != nil {
			return nil, fmt.Errorf("list units: %w", err)
		}
		for _, path := range found {
			// A former name may belong to another cluster: the mark decides.
			mark, err := sysfile.Mark(path)
			if err != nil {
				return nil, err
			}
			if cluster, _, _ := strings.Cut(mark, "/"); cluster == c.name {
				ours = append(ours, path)
			}
		}
	}
	return ours, nil
}

// Path is the path of a unit file.
func (c *Cluster) Path(unit string) string { return filepath.Join(c.dir, unit) }

// Put writes the unit of a daemon and has systemd read it. A unit that an earlier agent
// wrote for it is stopped first: two units with one pid file would end each other. The
// result says whether the text differs from what was there.
func (c *Cluster) Put(ctx context.Context, daemon, text string) (bool, error) {
	unit := c.Name(daemon)
	if former, err := c.Former(daemon); err != nil {
		return false, err
	} else if former != "" {
		if err := c.DropFile(ctx, former); err != nil {
			return false, err
		}
	}
	mark, err := sysfile.Mark(c.Path(unit))
	if err != nil {
		return false, err
	}
	if owner, _, _ := strings.Cut(mark, "/"); owner != "" && owner != c.name {
		return false, hint.Errorf(c.Path(unit), "flock --cluster "+owner+" apply, which gives its unit another name",
			"write unit %s: cluster %s has one of that name", unit, owner)
	}
	return c.Load(ctx, unit, text)
}

// Load writes the unit file called unit and has systemd read it. The result says whether
// anything was done.
func (c *Cluster) Load(ctx context.Context, unit, text string) (bool, error) {
	path := c.Path(unit)
	return c.LoadFile(ctx, File{
		Path: path, Text: text, Durable: unit == Boot,
		Known:  sysfile.Exists(path), // what it does not know, systemd reads by itself
		Reload: func(ctx context.Context) error { return Run(ctx, "systemctl", "daemon-reload") },
	})
}

// File is a file that some daemon has in its memory.
type File struct {
	Path, Text string                      // no text: the file is removed
	Durable    bool                        // as for sysfile.Write
	Known      bool                        // the daemon may have read it
	Reload     func(context.Context) error // has the daemon read it
}

// Unread is the path of the note that a daemon has not read the file at path since it was
// written. The note is gone after a reboot, as is what the daemon had in memory.
func (c *Cluster) Unread(path string) string {
	return filepath.Join(c.run, "unread-"+filepath.Base(path))
}

// LoadFile writes a file and has its daemon read it. If this process ends between the two,
// a note tells the next one: a correct file does not prove that it was read. The result
// says whether anything was done.
func (c *Cluster) LoadFile(ctx context.Context, f File) (bool, error) {
	have, err := sysfile.ReadIfThere(f.Path)
	if err != nil {
		return false, err
	}
	note := c.Unread(f.Path)
	told := !sysfile.Exists(note) && (have == f.Text || !f.Known)
	if have == f.Text && told {
		return false, nil
	}
	if !told {
		if err := errors.Join(sysfile.MakeDir(c.run), sysfile.Write(note, "", 0o600, false)); err != nil {
			return false, err
		}
	}
	switch {
	case f.Text == "":
		err = sysfile.Remove(f.Path)
	case have != f.Text:
		if err = os.MkdirAll(filepath.Dir(f.Path), 0o755); err == nil {
			err = sysfile.Write(f.Path, f.Text, 0o644, f.Durable)
		}
	}
	if err != nil || told {
		return true, err
	}
	if err := f.Reload(ctx); err != nil {
		return true, err
	}
	return true, sysfile.Remove(note)
}

// Restart has systemd start unit anew. The error has what the unit's processes wrote.
func Restart(ctx context.Context, unit string) error {
	since := time.Now()
	err := Run(ctx, "systemctl", "restart", unit)
	if err == nil {
		return nil
	}
	// The start limit, after a series of crashes that are now repaired.
	if Run(ctx, "systemctl", "reset-failed", unit) == nil && Run(ctx, "systemctl", "restart", unit) == nil {
		return nil
	}
	return unitError(ctx, unit, since, err)
}

// Drop stops the unit of a daemon and removes its file, by either name.
func (c *Cluster) Drop(ctx context.Context, daemon string) error {
	former, err := c.Former(daemon)
	if err != nil {
		return err
	}
	for _, unit := range []string{former, c.Name(daemon)} {
		if unit == "" {
			continue
		}
		if err := c.DropFile(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

// DropFile stops unit and removes its file. systemd forgets a stopped unit that nothing
// refers to without a reload: no listing shows it.
func (c *Cluster) DropFile(ctx context.Context, unit string) error {
	if !sysfile.Exists(c.Path(unit)) {
		return nil
	}
	if c.HasSystemd() {
		if err := Run(ctx, "systemctl", "stop", unit); err != nil {
			return err
		}
		// Fails unless the unit is in state failed, which a listing would show.
		_ = Run(ctx, "systemctl", "reset-failed", unit)
	}
	return sysfile.Remove(c.Path(unit), c.Unread(unit))
}
