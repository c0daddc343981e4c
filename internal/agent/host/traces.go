//go:build linux

package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// Traces are the paths of everything in the directories of this cluster, and of those
// themselves. The directory of a network of another cluster may be called as ours is.
func (s *Files) Traces() ([]string, error) {
	var out []string
	for _, top := range []string{s.Dir(), s.RunDir()} {
		names, err := sysfile.Names(top)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("look what is left: %w", err)
		}
		shared := top == s.RunDir() && slices.Contains(names, SubnetEnv)
		if len(names) == 0 {
			out = append(out, top)
		}
		for _, name := range names {
			if !shared || name != SubnetEnv {
				out = append(out, filepath.Join(top, name))
			}
		}
	}
	return out, nil
}
