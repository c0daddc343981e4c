//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// TestDNSMasqReachesItsFiles: it runs as nobody, and whoever made the directories, an
// administrator with a narrow umask or an agent that remembered a setting first, it
// reads what it is told to read again.
func TestDNSMasqReachesItsFiles(t *testing.T) {
	m := newMachine(t)
	m.sh("umask 077; mkdir -p /var/lib/flock/test /run/flock/test.d")
	c := m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	m.sh("setpriv --reuid nobody --clear-groups cat /var/lib/flock/test/dnsmasq-vx1.hosts")
	m.sh("chmod 700 /var/lib/flock /var/lib/flock/test")
	c = m.call()
	c.must(spec.Request{Op: spec.OpApply, Want: testHost(1450)})
	c.must(spec.Request{Op: spec.OpConfirm})
	c.hangUp()
	if modes := m.sh("cd /var/lib/flock; stat -c %a . test /run/flock/test.d test/sysctl.json"); modes != "755\n755\n755\n600\n" {
		t.Errorf("modes: %s", modes)
	}
}

// TestNotesDoNotNarrowTheDirectory: what is remembered about settings and routes may
// be what makes a cluster's directory.
func TestNotesDoNotNarrowTheDirectory(t *testing.T) {
	for what, note := range map[string]func(dir string) error{
		"settings": func(dir string) error {
			return writeSysctlNotes(dir, map[string]host.SettingNote{"a": {Found: "0", Set: "1"}})
		},
		"routes": func(dir string) error {
			return (&host.Host{Files: host.FilesAt(filepath.Base(dir), host.Paths{Lib: filepath.Dir(dir)})}).WriteRouteNotes(host.UnmarkedRoutes(plain("10.0.0.0/8")))
		},
	} {
		dir := t.TempDir() + "/test"
		if err := note(dir); err != nil {
			t.Fatal(err)
		}
		if mode := modeOf(t, dir); mode != 0o755 {
			t.Errorf("%s: mode %o", what, mode)
		}
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}
