//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/lab"
)

// A route that was confirmed before the sweep of what is not is never out of the
// kernel, whichever of the two is seen first.
func TestSweepKeepsWhatIsConfirmed(t *testing.T) {
	lab.Need(t, "ip")
	runtime.LockOSThread() // the thread ends with the test, and its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace (root needed): %v", err)
	}
	for _, args := range [][]string{
		{"link", "add", "eth0", "up", "type", "bridge"},
		{"address", "add", "10.99.0.1/24", "dev", "eth0"},
		{"route", "add", "10.0.11.0/24", "via", "10.99.0.2", "proto", "71", "metric", "71"},
	} {
		run(t, append([]string{"ip"}, args...)...)
	}
	moved := make(chan netlink.RouteUpdate, 64)
	done := make(chan struct{})
	defer close(done)
	if err := netlink.RouteSubscribe(moved, done); err != nil {
		t.Fatal(err)
	}
	for range 20 { // a chance in two each
		f, err := openFIB(t.TempDir(), func(netip.Prefix) []learned { return nil }, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		if !f.adopts() {
			t.Fatalf("no route was taken up: %v", f.have)
		}
		f.changes <- []told{{to: prefix("10.0.11.0/24"), learned: learned{from: addr("10.99.0.2"), hop: addr("10.99.0.2")}}}
		f.sweeps <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.run(ctx) }()
		answer := make(chan map[netip.Prefix]kept)
		for range 2 { // the sweep may come after the first
			f.looks <- answer
			if have := <-answer; have[prefix("10.0.11.0/24")].missing != "" {
				t.Errorf("the route is away: %v", have)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	out, err := exec.Command("ip", "route", "show", "proto", "71").CombinedOutput()
	if err != nil || len(out) == 0 {
		t.Errorf("no route in the end: %s %v", out, err)
	}
	for len(moved) > 0 {
		if u := <-moved; u.Type == unix.RTM_DELROUTE && u.Protocol == 71 {
			t.Errorf("the kernel heard: %v", u)
		}
	}
}
