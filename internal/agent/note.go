//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// What is remembered on a server is a cache: the truth is in the kernel, whose objects
// bear marks, and in the workstation's file. A note that is damaged is as good as none,
// and whoever needs it makes it anew; a plan says so. Each note has a copy beside it, for
// who finds nothing in the kernel: boot, and the way back from a change.

const copySuffix = spec.CopySuffix

// recall reads the note at path, or else its copy; nil where neither is sound. Text is
// what stands at path if that is sound. Damaged says that it is not as it was written, or
// is gone and its copy is not.
func recall[T any](path string, sound func(T) bool) (note *T, text string, damaged bool) {
	for _, p := range []string{path, path + copySuffix} {
		data, err := sysfile.Read(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var v T
		switch {
		case err != nil || wire.Unmarshal(data, &v) != nil || !sound(v):
			damaged = true
		case p == path:
			return &v, string(data), false
		default:
			return &v, "", true
		}
	}
	return nil, "", damaged
}

// writeNote replaces the note at path, whatever is there. It is on the disk when writeNote
// returns; of the copy that is not asked.
func writeNote(path, text string) error {
	return errors.Join(sysfile.Write(path, text, 0o600, true), sysfile.Write(path+copySuffix, text, 0o600, false))
}

// removeNote removes the note at path and its copy.
func removeNote(path string) error { return sysfile.Remove(path, path+copySuffix) }

// loses remembers for the next plan that a note of this cluster was found damaged.
func (s *services) loses(name string) {
	s.lost[name] = true
}

// noteSteps says which notes an apply of want makes anew.
func (s *services) noteSteps(want *spec.Host) ([]spec.Step, error) {
	for _, l := range want.Links {
		if l.Kind != spec.WireGuard {
			continue
		}
		if _, _, err := s.keys.InUse(l.Name); err != nil {
			return nil, err
		}
	}
	if len(s.lost) == 0 {
		return nil, nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(s.lost)), ", ")
	return []spec.Step{{Action: spec.Change, Object: "notes", Detail: names + " damaged or lost -> made anew"}}, nil
}

// hasForgotten says whether this server has networks of the cluster and did not know any
// more, at this process's first look, what was confirmed: nobody may take that for a first
// change that was cut short.
func (k *Kernel) hasForgotten() (bool, error) {
	if k.remembers != nil {
		return !*k.remembers, nil
	}
	forgot, err := k.forgot()
	if err == nil {
		remembers := !forgot
		k.remembers = &remembers
	}
	return forgot, err
}

func (k *Kernel) forgot() (bool, error) {
	last := k.services.last()
	switch {
	case last != nil:
		return false, nil
	case k.services.lost[specFile]:
		return true, nil
	case k.services.begun():
		return false, nil
	}
	if err := k.readDevices(); err != nil {
		return false, err
	}
	for index := range k.devices.byIndex {
		if k.ours(index) {
			return true, nil
		}
	}
	tables, err := k.filters.Remains()
	if err != nil || len(tables) > 0 {
		return len(tables) > 0, err
	}
	files, err := k.services.left()
	return len(files) > 0, err
}

// endStrays ends every dnsmasq of the cluster where nothing tells any more which there are.
func (k *Kernel) endStrays(ctx context.Context) error {
	if forgotten, err := k.hasForgotten(); err != nil || !forgotten {
		return err
	}
	ours := func(args []string) bool {
		return len(args) >= 2 && filepath.Base(args[0]) == "dnsmasq" && strings.HasPrefix(args[1], "--conf-file="+k.services.dir()+"/")
	}
	for {
		pid, err := unit.FindProcess("", ours)
		if err != nil || pid == 0 {
			return err
		}
		if err := unit.EndProcess(ctx, "dnsmasq", pid); err != nil {
			return err
		}
	}
}

// errForgot is why nothing is put back or taken back. To try again is of no use.
var errForgot = errors.New("what was confirmed is not known any more")

func (s *services) forgot() error {
	return fmt.Errorf("%w: %s is damaged or lost", errForgot, filepath.Join(s.dir(), specFile))
}
