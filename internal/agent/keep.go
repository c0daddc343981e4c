//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// Files in a cluster's directory.
const (
	specFile    = spec.SpecFile  // the last spec that was confirmed
	pendingFile = "pending.json" // a change that was begun and not confirmed yet
)

// last returns the spec that was last confirmed, nil if there is none, or none that is
// sound. Nobody changes it: all who ask while the file stays the same get the same one.
func (s *Files) last() *spec.Host {
	path := filepath.Join(s.dir(), specFile)
	if s.confirmed.text != "" {
		if text, err := sysfile.Read(path); err == nil && s.confirmed.text == string(text) {
			return s.confirmed.host
		}
	}
	h, text, damaged := recall(path, func(h spec.Host) bool { return h.Cluster == s.cluster && !h.Empty() })
	if damaged {
		s.loses(specFile)
	}
	s.confirmed.text, s.confirmed.host = text, h
	return h
}

// store makes h what this server goes back to, at boot or when a change fails. It
// is on the disk when store returns.
func (s *Files) store(h *spec.Host) error {
	data, err := wire.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode spec: %w", err)
	}
	path := filepath.Join(s.dir(), specFile)
	if have, err := sysfile.Read(path); err != nil || string(have) != string(data) || s.lost[specFile] {
		if err := writeNote(path, string(data)); err != nil {
			return fmt.Errorf("keep spec: %w", err)
		}
		delete(s.lost, specFile)
	}
	return s.endChange()
}

// begin notes that a change is under way, so that what it leaves behind is found
// whatever happens to this process.
func (s *Files) begin(h *spec.Host) error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	text := fmt.Sprintf("{\"Generation\":%d,\"Sum\":%q}\n", h.Generation, h.Sum())
	if _, err := sysfile.WriteIfOther(filepath.Join(s.dir(), pendingFile), text, 0o600); err != nil {
		return fmt.Errorf("note change: %w", err)
	}
	return nil
}

// begun says whether a change was begun and not confirmed.
func (s *Files) begun() bool { return sysfile.Exists(filepath.Join(s.dir(), pendingFile)) }

// endChange notes that no change is under way.
func (s *Files) endChange() error { return sysfile.Remove(filepath.Join(s.dir(), pendingFile)) }

// forget removes the memory of this cluster, once nothing of it is left, and with
// the last cluster everything else that flock keeps here but the agent itself.
func (s *Files) forget() error {
	// Half-written files too, should a process have been killed at that.
	if err := errors.Join(os.RemoveAll(s.dir()), s.emptyRunDir()); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	return sysfile.RemoveEmpty(s.runDir(), s.paths.lib)
}

// emptyRunDir leaves what a network of another cluster has there that is called as this
// directory is: vx1.d, where this cluster is vx1.
func (s *Files) emptyRunDir() error {
	names, err := sysfile.Names(s.runDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		if name != subnetEnv {
			errs = append(errs, os.RemoveAll(filepath.Join(s.runDir(), name)))
		}
	}
	return errors.Join(errs...)
}

// clusters lists the clusters that have something here.
func (p paths) clusters() ([]string, error) {
	entries, err := os.ReadDir(p.lib)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && spec.CheckName("cluster", e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
