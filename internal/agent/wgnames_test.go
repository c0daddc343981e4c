//go:build linux

package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
)

// hosts makes machine i know names.
func (m *mesh) hosts(i int, lines string) {
	m.t.Helper()
	m.machines[i].sh("[ -e /run/hosts ] || { touch /run/hosts; mount --bind /run/hosts /etc/hosts; }; printf '" + lines + "' >/run/hosts")
}

// A name's first address that nobody is at costs an attempt, not the session.
func TestSpeakTakesTheNextAddress(t *testing.T) {
	m := newMesh(t, 2)
	m.hosts(0, `10.99.0.77 s2.flock.test\n10.99.0.2 s2.flock.test\n`)
	c1, c2 := m.key(0), m.key(1)
	want := m.host(0, 0, 1)
	want.Peers[0].Endpoint = "s2.flock.test:51820"
	c1.make(want, "any")
	if have := m.machines[0].sh("wg show wg-wirex endpoints | cut -f2"); have != "10.99.0.77:51820\n" {
		t.Fatalf("the first address comes first, have %s", have)
	}
	c2.make(m.host(1, 0, 1), "any")
	if silent := m.speak(0, want); len(silent) > 0 {
		t.Fatalf("silent: %v", silent)
	}
	if have := m.machines[0].sh("wg show wg-wirex endpoints | cut -f2"); have != "10.99.0.2:51820\n" {
		t.Errorf("endpoint: %s", have)
	}
	m.ping(0, 1)
}

// resolveAgain is an agent's role: to look twice after endpoints, when something was
// sent to the only peer in between.
func resolveAgain() error {
	r, later := link.NewResolver(host.NewFiles("test")), time.Now().Add(time.Hour)
	if err := r.Look(context.Background(), later); err != nil {
		return err
	}
	c, err := wgctrl.New()
	if err != nil {
		return err
	}
	defer c.Close()
	grew := func() bool {
		d, err := c.Device("wg-wirex")
		return err == nil && len(d.Peers) == 1 && slices.ContainsFunc(slices.Collect(maps.Values(r.Sent)), func(b int64) bool { return d.Peers[0].TransmitBytes > b })
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if grew() {
			return r.Look(context.Background(), later)
		}
		<-tick.C
	}
	return errors.New("nothing was sent to the peer")
}

// A peer that goes away from one of its name's addresses is found at the next; one that
// nobody spoke to stays.
func TestResolverTakesTheNextAddress(t *testing.T) {
	m := newMesh(t, 2)
	m.hosts(0, `10.99.0.2 s2.flock.test\n10.99.0.9 s2.flock.test\n`)
	c1, c2 := m.key(0), m.key(1)
	want := m.host(0, 0, 1)
	want.Peers[0].Endpoint = "s2.flock.test:51820"
	c1.make(want, "any")
	c2.make(m.host(1, 0, 1), "any")
	if silent := m.speak(0, want); len(silent) > 0 {
		t.Fatalf("silent: %v", silent)
	}
	m.ping(0, 1)
	s := m.machines[0]
	if out, err := s.agent("resolve later").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if have := s.sh("wg show wg-wirex endpoints | cut -f2"); have != "10.99.0.2:51820\n" {
		t.Fatalf("nobody spoke, and the endpoint is %s", have)
	}
	m.machines[1].sh("ip addr add 10.99.0.9/24 dev eth0; ip addr del 10.99.0.2/24 dev eth0; ip addr add 10.99.0.9/24 dev eth0 2>/dev/null || true")
	// It answers, and says nothing by itself: its first word would bring its address.
	m.machines[1].sh("nft add table inet mute; nft add chain inet mute out '{ type filter hook output priority 0; }'; nft add rule inet mute out udp sport 51820 ct direction original drop")
	again := s.agent("resolve again")
	again.Stderr = nil
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	s.sh("ping -qc30 -i0.2 -W1 10.0.8.2 >/dev/null || true")
	if err := again.Wait(); err != nil {
		t.Fatal(err)
	}
	if have := s.sh("wg show wg-wirex endpoints | cut -f2"); have != "10.99.0.9:51820\n" {
		t.Errorf("endpoint: %s", have)
	}
	m.ping(0, 1)
}

// A resolver that does not answer keeps nobody from the server.
func TestNamesAreAskedWithoutTheLock(t *testing.T) {
	m := newMesh(t, 2)
	m.hosts(0, `10.99.0.2 s2.flock.test\n`)
	c1, _ := m.key(0), m.key(1)
	want := m.host(0, 0, 1)
	want.Peers[0].Endpoint = "s2.flock.test:51820"
	c1.make(want, "any")
	m.hosts(0, "")
	s := m.machines[0]
	s.sh(`echo nameserver 10.99.0.50 >/run/resolv; mount --bind /run/resolv /etc/resolv.conf
		nft add table inet dns; nft add chain inet dns out '{ type filter hook output priority 0; }'; nft add rule inet dns out udp dport 53 counter drop`)
	asks := s.agent("resolve later")
	if err := asks.Start(); err != nil {
		t.Fatal(err)
	}
	s.sh(`for i in $(seq 500); do nft list table inet dns | grep -q 'packets 0 ' || break; sleep 0.01; done
		! nft list table inet dns | grep 'packets 0 '; flock -n /run/flock/lock true`)
	if err := asks.Wait(); err == nil {
		t.Error("the name was resolved: nothing was shown")
	}
}
