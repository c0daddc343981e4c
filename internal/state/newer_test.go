package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
)

// TestNewerFlockIsNamed: what this program does not know of a file by a newer one is
// not called a mistake, nor are its keys listed for deletion.
func TestNewerFlockIsNamed(t *testing.T) {
	const body = "[server.s1]\nfuture = 1\n"
	for _, test := range []struct {
		ours, writer string
		newer        bool
	}{
		{"v1.2.0", "v1.10.0", true},
		{"v1.2.0", "v1.2.0", false},
		{"v1.2.0", "v1.1.9", false},
		{"v0.0.0-20261101000000-0123456789ab", "v0.0.0-20261102000000-0123456789ab+dirty", true},
		{"0123456789ab", "v1.0.0", false},
		{"v1.0.0", "devel", false},
		{"v1.0.0", "", false},
	} {
		s := Open(filepath.Join(t.TempDir(), "default.toml"), "default")
		s.Version = test.ours
		if err := os.WriteFile(s.Path(), []byte("schema = 1\nflock = '"+test.writer+"'\n"+body), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Load(t.Context())
		where, next := hint.Of(err)
		said := err != nil && strings.Contains(err.Error(), "server.s1.future: unknown key") && strings.Contains(err.Error(), "written by flock "+test.writer)
		if said != test.newer || strings.Contains(next, "use flock "+test.writer) != test.newer || !errors.Is(err, ErrMalformed) || !strings.HasSuffix(where, ":4:1") {
			t.Errorf("%s reads a file of %s: %v, where %q, next %q", test.ours, test.writer, err, where, next)
		}
	}
}

func TestNewerSchemaIsSaidOnce(t *testing.T) {
	s := newStore(t)
	s.Version = "v1.0.0"
	_, err := s.Parse([]byte("schema = 2\nflock = 'v9.1.0'\n"), "f.toml")
	if err == nil || strings.Count(err.Error(), "v9.1.0") != 1 {
		t.Errorf("have %v", err)
	}
}
