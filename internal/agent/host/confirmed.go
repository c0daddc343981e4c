//go:build linux

package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// PendingFile is in a cluster's directory while a change is not confirmed.
const PendingFile = "pending.json"

// Last returns the spec that was last confirmed, nil if there is none, or none that is
// sound. Nobody changes it: all who ask while the file stays the same get the same one.
func (s *Files) Last() *spec.Host {
	path := filepath.Join(s.Dir(), spec.SpecFile)
	file := sysfile.VersionOf(path) // before it is read
	if s.confirmed.host != nil && file == s.confirmed.file {
		return s.confirmed.host
	}
	h, damaged := s.sentAs(path, file.Size()), false
	if h == nil {
		h, damaged = Recall(path, func(h spec.Host) bool { return h.Cluster == s.Cluster && !h.Empty() })
	}
	if damaged {
		s.Loses(spec.SpecFile)
		return h
	}
	s.confirmed.file, s.confirmed.host = file, h
	return h
}

// Sent takes note of a spec that came from the workstation, in that message: where the same
// was confirmed last, nobody reads its JSON twice.
func (s *Files) Sent(h *spec.Host, message []byte) {
	if h != nil && h.Cluster == s.Cluster && !h.Empty() {
		_, s.sentText, _ = bytes.Cut(message, []byte(`"Want":`))
		s.sent = h
	}
}

// sentAs is the spec that was sent, if the file at path has its JSON and no more; nil: it has not.
func (s *Files) sentAs(path string, size int64) *spec.Host {
	sent := s.sentText
	if n := int64(len(sent)); size == 0 || size >= n || sent[size-1] != '}' || sent[size] != ',' && sent[size] != '}' {
		return nil
	}
	if text, err := sysfile.Read(path); err != nil || !bytes.Equal(text, sent[:size]) {
		return nil
	}
	return s.sent
}

// Store makes h what this server goes back to, at boot or when a change fails. It
// is on the disk when store returns.
func (s *Files) Store(h *spec.Host) error {
	data, err := wire.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode spec: %w", err)
	}
	if err := s.storeCopy(); err != nil {
		return err
	}
	path := filepath.Join(s.Dir(), spec.SpecFile)
	if have, err := sysfile.Read(path); err != nil || string(have) != string(data) || s.Lost[spec.SpecFile] {
		if err := WriteNote(path, string(data)); err != nil {
			return fmt.Errorf("keep spec: %w", err)
		}
		delete(s.Lost, spec.SpecFile)
	}
	return s.EndChange()
}

// BeginChange notes that a change is under way, so that what it leaves behind is found
// whatever happens to this process.
func (s *Files) BeginChange(h *spec.Host) error {
	if err := s.MakeDirs(); err != nil {
		return err
	}
	text := fmt.Sprintf("{\"Generation\":%d,\"Sum\":%q}\n", h.Generation, h.Sum())
	if _, err := sysfile.WriteIfOther(filepath.Join(s.Dir(), PendingFile), text, 0o600); err != nil {
		return fmt.Errorf("note change: %w", err)
	}
	return nil
}

// Begun says whether a change was begun and not confirmed.
func (s *Files) Begun() bool { return sysfile.Exists(filepath.Join(s.Dir(), PendingFile)) }

// EndChange notes that no change is under way.
func (s *Files) EndChange() error { return sysfile.Remove(filepath.Join(s.Dir(), PendingFile)) }

// Forget removes the memory of this cluster, once nothing of it is left, and with
// the last cluster everything else that flock keeps here but the agent itself.
func (s *Files) Forget() error {
	// Half-written files too, should a process have been killed at that.
	if err := errors.Join(os.RemoveAll(s.Dir()), s.emptyRunDir()); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	return sysfile.RemoveEmpty(s.RunDir(), s.Paths.Lib)
}

// emptyRunDir leaves what a network of another cluster has there that is called as this
// directory is: vx1.d, where this cluster is vx1.
func (s *Files) emptyRunDir() error {
	names, err := sysfile.Names(s.RunDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		if name != SubnetEnv {
			errs = append(errs, os.RemoveAll(filepath.Join(s.RunDir(), name)))
		}
	}
	return errors.Join(errs...)
}

// Clusters lists the clusters that have something here.
func (p Paths) Clusters() ([]string, error) {
	entries, err := os.ReadDir(p.Lib)
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
