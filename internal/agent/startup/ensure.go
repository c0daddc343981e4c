//go:build linux

package startup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
)

// Ensure makes the units run this very program. Nothing is done without systemd.
//
// After a power cut the boot unit is there, whatever the disk has kept of the others: it
// mends them.
func Ensure(ctx context.Context, s *host.Files) error {
	if !s.Units.HasSystemd() {
		return nil
	}
	self, err := unit.OwnProgram()
	if err != nil {
		return err
	}
	listens := true // the rules unit, already
	for _, o := range owns {
		text, err := o.text(self)
		if err != nil {
			return err
		}
		if _, err := s.Units.Load(ctx, o.name, text); err != nil {
			return fmt.Errorf("write unit: %w", err)
		}
		if o.enabled(s) {
			continue
		}
		listens = listens && o.name != unit.Rules
		if err := o.enable(s); err != nil {
			return fmt.Errorf("enable %s: %w", o.name, err)
		}
	}
	if listens {
		return nil
	}
	return listen(ctx)
}

// enable is what `systemctl enable` does, without its reload.
func (o own) enable(s *host.Files) error {
	for _, by := range o.by {
		link := o.link(s, by)
		if err := errors.Join(sysfile.Remove(link), os.MkdirAll(filepath.Dir(link), 0o755)); err != nil {
			return err
		}
		if err := os.Symlink(s.Units.Path(o.name), link); err != nil {
			return err
		}
		if o.name == unit.Boot {
			return sysfile.SyncDir(filepath.Dir(link))
		}
	}
	return nil
}

// listen starts the instances whose programs run already. They wait for the lock, and so
// for the end of this change.
func listen(ctx context.Context) error {
	_, loaded, running := unit.InMemory(ctx, flushers)
	if !loaded {
		return nil
	}
	if err := unit.Run(ctx, "systemctl", "daemon-reload"); err != nil || len(running) == 0 {
		return err
	}
	start := []string{"start", "--no-block"}
	for _, f := range running {
		start = append(start, unit.Instance(unit.Rules, f))
	}
	return unit.Run(ctx, "systemctl", start...)
}

// remove removes o's file and its links. It stops nothing: it may be this process.
func (o own) remove(s *host.Files) error {
	path := s.Units.Path(o.name)
	errs := []error{sysfile.Remove(path, s.Units.Unread(path))}
	for _, by := range o.by {
		link := o.link(s, by)
		errs = append(errs, sysfile.Remove(link))
		if len(o.by) > 1 {
			_ = os.Remove(filepath.Dir(link)) // stays where others have links
		}
	}
	return errors.Join(errs...)
}

// Tidy removes the units, one of which runs at this moment and has nothing to do any more:
// to stop it would be to stop ourselves.
func Tidy(s *host.Files) error {
	var errs []error
	for _, o := range owns {
		errs = append(errs, o.remove(s))
	}
	return errors.Join(errs...)
}

// Drop removes the units, and what runs of them, unless some cluster is left.
func Drop(ctx context.Context, s *host.Files) error {
	clusters, err := s.Paths.Clusters()
	if err != nil || len(clusters) > 0 {
		return err
	}
	var found []string
	for _, o := range owns {
		if o.traces(s) {
			found = append(found, o.pattern())
		}
	}
	if len(found) == 0 || !s.Units.HasSystemd() {
		return Tidy(s)
	}
	// systemd has them in its memory if it read its files since, or the server was started:
	// then what wants them refers to them, until the files are read again. Instances may
	// run without a file.
	known, _, _ := unit.InMemory(ctx, append(found, flushers...))
	if !known {
		return Tidy(s)
	}
	if err := unit.Run(ctx, "systemctl", append([]string{"stop"}, found...)...); err != nil {
		return err
	}
	_ = unit.Run(ctx, "systemctl", append([]string{"reset-failed"}, found...)...) // fails where none has
	if err := Tidy(s); err != nil {
		return err
	}
	return unit.Run(ctx, "systemctl", "daemon-reload")
}
