//go:build linux

package agent

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// speak asks machine i to speak to all of its peers, and returns those that are
// silent. What the server should look like is what it looks like afterwards.
func (m *mesh) speak(i int, want *spec.Host) []spec.Peer {
	m.t.Helper()
	c := m.machines[i].call()
	silent := c.must(spec.Request{Op: spec.OpHandshake, Want: want, Peers: want.Peers}).Silent
	c.make(want, "")
	return silent
}

// Without help, a device whose first words came too early says nothing for five
// seconds; speak gives up after one.
func TestHandshakeAfterWordsThatNobodyHeard(t *testing.T) {
	m := newMesh(t, 2)
	c1, c2 := m.key(0), m.key(1)
	c1.make(m.host(0, 0, 1), "any")
	m.machines[0].sh("! ping -qc1 -W1 10.0.8.2 >/dev/null")
	c2.make(m.host(1, 0, 1), "any")
	if silent := m.speak(0, m.host(0, 0, 1)); len(silent) > 0 {
		t.Fatalf("silent: %v", silent)
	}
	if m.handshake(0, 1) == "0" {
		t.Error("no handshake")
	}
	m.machines[0].sh("ping -qc1 -W1 10.0.8.2")
}

func TestHandshakeNamesWhoIsSilent(t *testing.T) {
	m := newMesh(t, 3)
	m.up(0, 1, 2)
	m.machines[2].sh("ip link set eth0 down")
	silent := m.speak(0, m.host(0, 0, 1, 2))
	if len(silent) != 1 || silent[0].Key != m.keys[2] {
		t.Errorf("want %s, have %v", m.keys[2], silent)
	}
	kept := m.host(0, 0, 1, 2)
	for i := range kept.Peers {
		kept.Peers[i].Keepalive = 25
	}
	m.machines[0].call().make(kept, "any")
	m.machines[2].sh("ip link set eth0 up; for i in $(seq 200); do ping -qc1 -W1 10.99.0.1 >/dev/null && break; sleep 0.02; done")
	if silent := m.speak(0, kept); len(silent) > 0 {
		t.Errorf("silent: %v", silent)
	}
	m.ping(0, 2)
}

func TestHandshakeLeavesSessionsAlone(t *testing.T) {
	m := newMesh(t, 2)
	m.up(0, 1)
	m.ping(0, 1)
	state := func() string {
		return strings.TrimSpace(m.machines[0].sh("wg show wg-wirex latest-handshakes; wg show wg-wirex transfer"))
	}
	before := state()
	if silent := m.speak(0, m.host(0, 0, 1)); len(silent) > 0 {
		t.Errorf("silent: %v", silent)
	}
	if after := state(); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
}
