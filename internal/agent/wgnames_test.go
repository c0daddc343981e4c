//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
)

// answering puts a resolver of the test's own in the place of the server's.
func answering(t *testing.T, resolver func(ctx context.Context, host string) ([]netip.Addr, error)) {
	t.Helper()
	before := lookUp
	lookUp = func(ctx context.Context, _, host string) ([]netip.Addr, error) { return resolver(ctx, host) }
	t.Cleanup(func() { lookUp = before })
}

// Nobody waits for another's answer: each is given when all were asked.
func TestNamesAreAskedSideBySide(t *testing.T) {
	names := []string{"a.test:1", "b.test:2", "c.test:3", "d.test:4", "c.test:3"}
	var all sync.WaitGroup
	all.Add(4)
	answering(t, func(ctx context.Context, host string) ([]netip.Addr, error) {
		all.Done()
		begun := make(chan struct{})
		go func() { all.Wait(); close(begun) }()
		select {
		case <-begun:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if host == "b.test" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{addr("127.0.0.1")}, nil
	})
	have := askNames(t.Context(), names)
	if len(have) != 4 || have["b.test:2"].err == nil || have["c.test:3"].err != nil || fmt.Sprint(have["c.test:3"].addrs) != "[127.0.0.1:3]" {
		t.Errorf("have %v", have)
	}
}

// All wait for one deadline together, and what was answered is known by then.
func TestNamesHaveOneDeadline(t *testing.T) {
	answering(t, func(ctx context.Context, host string) ([]netip.Addr, error) {
		if host == "quick.test" {
			return []netip.Addr{addr("127.0.0.1")}, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	names := []string{"quick.test:9"}
	for i := range 2 * askedAtOnce {
		names = append(names, fmt.Sprintf("%d.slow.test:9", i))
	}
	have := askNames(ctx, names)
	silent := 0
	for _, a := range have {
		if errors.Is(a.err, context.DeadlineExceeded) {
			silent++
		}
	}
	if len(have) != len(names) || silent < len(names)-1 {
		t.Errorf("of %d names %d were silent, %d known", len(names), silent, len(have))
	}
}

// The resolver's order stays, less what the server has no route for.
func TestAddressesWithoutARouteAreLeftOut(t *testing.T) {
	ownNet(t)
	answering(t, func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{addr("fd99::2"), addr("10.99.0.9"), addr("fd50::2"), addr("10.99.0.2")}, nil
	})
	ask := func() string {
		t.Helper()
		list, err := askName(t.Context(), "two.test:51820")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	if have, want := ask(), "[[fd99::2]:51820 10.99.0.9:51820 10.99.0.2:51820]"; have != want {
		t.Errorf("want %s, have %s", want, have)
	}
	sh(t, "ip -6 addr flush dev eth0")
	if have, want := ask(), "[10.99.0.9:51820 10.99.0.2:51820]"; have != want {
		t.Errorf("without IPv6: want %s, have %s", want, have)
	}
	sh(t, "ip -6 addr add fd99::1/64 dev eth0 nodad; ip -4 addr flush dev eth0")
	if have, want := ask(), "[[fd99::2]:51820]"; have != want {
		t.Errorf("without IPv4: want %s, have %s", want, have)
	}
	sh(t, "ip -6 addr flush dev eth0")
	if have := ask(); strings.Count(have, "51820") != 4 {
		t.Errorf("without any route all may come: have %s", have)
	}
}

func TestNextAddress(t *testing.T) {
	at := netip.MustParseAddrPort
	list := []netip.AddrPort{at("[fd99::2]:1"), at("10.99.0.2:1")}
	for _, test := range []struct {
		at, want netip.AddrPort
		tried    bool
	}{
		{list[0], list[0], false},
		{list[0], list[1], true},
		{list[1], list[0], true},
		{at("10.99.0.7:1"), list[0], false},
		{netip.AddrPort{}, list[0], false},
	} {
		if have := nextAddr(list, test.at, test.tried); have != test.want {
			t.Errorf("from %s, tried %v: want %s, have %s", test.at, test.tried, test.want, have)
		}
	}
	if have := nextAddr(nil, list[0], true); have.IsValid() {
		t.Errorf("without an answer: %s", have)
	}
}

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
	s, sent, later := newServices("test"), sentBytes{}, time.Now().Add(time.Hour)
	if err := s.resolveOnce(context.Background(), later, sent); err != nil {
		return err
	}
	c, err := wgctrl.New()
	if err != nil {
		return err
	}
	defer c.Close()
	grew := func() bool {
		d, err := c.Device("wg-wirex")
		return err == nil && len(d.Peers) == 1 && slices.ContainsFunc(slices.Collect(maps.Values(sent)), func(b int64) bool { return d.Peers[0].TransmitBytes > b })
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if grew() {
			return s.resolveOnce(context.Background(), later, sent)
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
