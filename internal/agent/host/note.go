//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// What is remembered on a server is a cache: the truth is in the kernel, whose objects
// bear marks, and in the workstation's file. A note that is damaged is as good as none,
// and whoever needs it makes it anew; a plan says so. Each note has a copy beside it, for
// who finds nothing in the kernel: boot, and the way back from a change.

const copySuffix = spec.CopySuffix

// Recall reads the note at path, or else its copy; nil where neither is sound. Damaged says
// that it is not as it was written, or is gone and its copy is not.
func Recall[T any](path string, sound func(T) bool) (note *T, damaged bool) {
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
			return &v, false
		default:
			return &v, true
		}
	}
	return nil, damaged
}

// WriteNote replaces the note at path, whatever is there. It is on the disk when writeNote
// returns; of the copy that is not asked.
func WriteNote(path, text string) error {
	return errors.Join(sysfile.Write(path, text, 0o600, true), sysfile.Write(path+copySuffix, text, 0o600, false))
}

// RemoveNote removes the note at path and its copy.
func RemoveNote(path string) error { return sysfile.Remove(path, path+copySuffix) }

// Loses remembers for the next plan that a note of this cluster was found damaged.
func (s *Files) Loses(name string) {
	s.Lost[name] = true
}

// HasForgotten says whether this server has networks of the cluster and did not know any
// more, at this process's first look, what was confirmed: nobody may take that for a first
// change that was cut short.
func (k *Host) HasForgotten() (bool, error) {
	if k.remembers != nil {
		return !*k.remembers, nil
	}
	forgot, err := k.forgets()
	if err == nil {
		remembers := !forgot
		k.remembers = &remembers
	}
	return forgot, err
}

// forgets is hasForgotten, asked anew.
func (k *Host) forgets() (bool, error) {
	last := k.Last()
	switch {
	case last != nil:
		return false, nil
	case k.Lost[spec.SpecFile]:
		return true, nil
	case k.Begun(), k.Marked == nil:
		return false, nil
	}
	if err := k.ReadDevices(); err != nil {
		return false, err
	}
	return k.Marked()
}

// ErrForgot is why nothing is put back or taken back. To try again is of no use.
var ErrForgot = errors.New("what was confirmed is not known any more")

// ErrorForgot is the error that says so, with the file.
func (s *Files) ErrorForgot() error {
	return fmt.Errorf("%w: %s is damaged or lost", ErrForgot, filepath.Join(s.Dir(), spec.SpecFile))
}
