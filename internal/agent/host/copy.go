//go:build linux

package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// storeCopy writes the copy of the cluster file that came with the request, if one did. Only
// root reads it: it has no secrets, but all addresses of the cluster.
func (s *Files) storeCopy() error {
	if s.Copy == "" {
		return nil
	}
	file, err := base64.StdEncoding.DecodeString(s.Copy)
	if err == nil {
		err = sysfile.Write(filepath.Join(s.Dir(), spec.CopyFile), string(file), 0o600, true)
	}
	if err != nil {
		return fmt.Errorf("keep a copy of the cluster file: %w", err)
	}
	return nil
}

// Copies are what this server has of each cluster, by name; of files only the one of cluster.
func (p Paths) Copies(cluster string) ([]spec.Copied, error) {
	names, err := p.Clusters()
	if err != nil {
		return nil, err
	}
	var out []spec.Copied
	for _, name := range names {
		s := FilesAt(name, p)
		c := spec.Copied{Cluster: name}
		if h := s.Last(); h != nil {
			c.Store, c.Server, c.Generation, c.Made, c.Sum = h.Store, h.Server, h.Generation, h.Made, h.Sum()
		}
		if name == cluster {
			file, err := sysfile.Read(filepath.Join(s.Dir(), spec.CopyFile))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("read the copy of the cluster file: %w", err)
			}
			c.File = base64.StdEncoding.EncodeToString(file)
		}
		out = append(out, c)
	}
	return out, nil
}
