//go:build linux

package agent

import (
	"testing"

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
