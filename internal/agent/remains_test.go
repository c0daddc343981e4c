//go:build linux

package agent

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// number is how many things were found.
func number(names []string, err error) (int, error) { return len(names), err }

// What a purge could not remove it names, and what it says that it looked at is so.
func TestPurgeNamesWhatIsLeft(t *testing.T) {
	for name, spoil := range map[string]string{
		"nothing is wrong":         "true",
		"a directory that is kept": "mount -o bind /var/lib/flock /var/lib/flock; mount -o remount,bind,ro /var/lib/flock",
		"a damaged spec":           "echo '{' >/var/lib/flock/test/spec.json",
		"damaged settings":         "echo '{' >/var/lib/flock/test/sysctl.json",
		"damaged routes":           "echo '{' >/var/lib/flock/test/routes.json",
		"a file that stays":        "mkdir -p /run/flock/test.d/x; mount -o bind /run/flock/test.d/x /run/flock/test.d/x",
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.stand(testHost(1450))
			m.sh(spoil)
			c := m.call()
			reply := c.ask(spec.Request{Op: spec.OpPurge, Want: emptyHost()})
			there := strings.TrimSpace(m.sh("ls -d /var/lib/flock/test/* /run/flock/test.d/* 2>/dev/null || :; ip -br link | grep -o '^vxl[^@ ]*' | sed 's/^/link /'|| :"))
			m.sh("umount -q /var/lib/flock || :; umount -q /run/flock/test.d/x || :")
			r := reply.Report
			if r == nil {
				if reply.Error == nil || there == "" {
					t.Fatalf("neither a report nor an error: %+v", reply)
				}
				return
			}
			if there == "" != (r.Left == 0 && r.Error == nil && r.Looked) {
				t.Errorf("there is\n%s\nand it says %+v, %+v", there, r, r.Error)
			}
			for line := range strings.Lines(there) {
				if line = strings.TrimSpace(line); r.Error == nil && !slices.Contains(r.Remains, line) {
					t.Errorf("%s is there and not among %q", line, r.Remains)
				}
			}
		})
	}
}
