//go:build linux

package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestNotesDoNotNarrowTheDirectory: what is remembered about routes may be what makes a
// cluster's directory.
func TestNotesDoNotNarrowTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "test")
	if err := (&Host{Files: FilesAt("test", Paths{Lib: filepath.Dir(dir)})}).writeRouteNotes([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%v, %v", info, err)
	}
}
