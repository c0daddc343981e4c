//go:build linux

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRemovePrograms: what others have in a directory of the same name stays.
func TestRemovePrograms(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct{ has, stays string }{
		"nothing":          {"", ""},
		"agents":           {"0123456789abcdef/flock fedcba9876543210/flock .tmp-77", ""},
		"a cut removal":    {"0123456789abcdef/", ""},
		"somebody else's":  {"0123456789abcdef/flock bin/flock data", "bin bin/flock data"},
		"in an agent's":    {"0123456789abcdef/flock 0123456789abcdef/notes", "0123456789abcdef 0123456789abcdef/notes"},
		"almost a version": {"0123456789abcdeg/flock 0123456789abcde/flock", "0123456789abcde 0123456789abcde/flock 0123456789abcdeg 0123456789abcdeg/flock"},
	} {
		place := filepath.Join(t.TempDir(), "flock")
		for _, name := range strings.Fields(test.has) {
			path := filepath.Join(place, name)
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			if strings.HasSuffix(name, "/") {
				err = os.MkdirAll(path, 0o755)
			} else if err == nil {
				err = os.WriteFile(path, nil, 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := RemovePrograms(place); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		var have []string
		_ = filepath.WalkDir(place, func(path string, _ os.DirEntry, err error) error {
			if err == nil && path != place {
				name, _ := filepath.Rel(place, path)
				have = append(have, name)
			}
			return nil
		})
		if got := strings.Join(have, " "); got != test.stays {
			t.Errorf("%s: want %q to stay, have %q", what, test.stays, got)
		}
		if _, err := os.Stat(place); (test.stays == "") != errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the place: %v", what, err)
		}
	}
}
