//go:build linux

package settings

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
)

// TestNotesDoNotNarrowTheDirectory: what is remembered about settings may be what makes a
// cluster's directory.
func TestNotesDoNotNarrowTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "test")
	if err := writeSysctlNotes(dir, map[string]host.SettingNote{"a": {Found: "0", Set: "1"}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%v, %v", info, err)
	}
}
