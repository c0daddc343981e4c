//go:build linux

package wg

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
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
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	})
	have := ask(t.Context(), names)
	if len(have) != 4 || have["b.test:2"].err == nil || have["c.test:3"].err != nil || fmt.Sprint(have["c.test:3"].addrs) != "[127.0.0.1:3]" {
		t.Errorf("have %v", have)
	}
}

// All wait for one deadline together, and what was answered is known by then.
func TestNamesHaveOneDeadline(t *testing.T) {
	answering(t, func(ctx context.Context, host string) ([]netip.Addr, error) {
		if host == "quick.test" {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
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
	have := ask(ctx, names)
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
	lab.Need(t, "ip")
	runtime.LockOSThread() // the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	sh := func(script string) {
		t.Helper()
		if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
	}
	sh(`ip link add eth0 type veth peer name wire; ip link set wire up; ip link set eth0 up
		ip addr add 10.99.0.1/24 dev eth0; ip -6 addr add fd99::1/64 dev eth0 nodad`)
	answering(t, func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("fd99::2"), netip.MustParseAddr("10.99.0.9"), netip.MustParseAddr("fd50::2"), netip.MustParseAddr("10.99.0.2")}, nil
	})
	ask := func() string {
		t.Helper()
		list, err := resolve(t.Context(), "two.test:51820")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list)
	}
	if have, want := ask(), "[[fd99::2]:51820 10.99.0.9:51820 10.99.0.2:51820]"; have != want {
		t.Errorf("want %s, have %s", want, have)
	}
	sh("ip -6 addr flush dev eth0")
	if have, want := ask(), "[10.99.0.9:51820 10.99.0.2:51820]"; have != want {
		t.Errorf("without IPv6: want %s, have %s", want, have)
	}
	sh("ip -6 addr add fd99::1/64 dev eth0 nodad; ip -4 addr flush dev eth0")
	if have, want := ask(), "[[fd99::2]:51820]"; have != want {
		t.Errorf("without IPv4: want %s, have %s", want, have)
	}
	sh("ip -6 addr flush dev eth0")
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
