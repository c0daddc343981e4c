//go:build linux

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// RemovePrograms removes the agent's programs that workstations put into a place, VERSION/flock, what an
// upload left, and the place if nothing else is in it.
func RemovePrograms(place string) error {
	entries, err := os.ReadDir(place)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		path := filepath.Join(place, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".tmp-"):
			errs = append(errs, os.Remove(path))
		case e.IsDir() && isVersion(e.Name()):
			if err := os.Remove(filepath.Join(path, "flock")); !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
			errs = append(errs, unlessFull(os.Remove(path)))
		}
	}
	return errors.Join(append(errs, unlessFull(os.Remove(place)))...)
}

// unlessFull leaves out that a directory has something of others.
func unlessFull(err error) error {
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// isVersion says whether name is that of an agent's program: hexadecimal digits of its hash.
func isVersion(name string) bool {
	return len(name) == spec.VersionLength && strings.Trim(name, "0123456789abcdef") == ""
}
