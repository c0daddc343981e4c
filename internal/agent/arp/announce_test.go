//go:build linux

package arp

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/netspace"
)

// A container that knows addresses by the MAC of the server that had them before
// learns the new one from the announcement, without asking.
func TestAnnounceMovesAddresses(t *testing.T) {
	server, container := netspace.New(t), netspace.New(t)
	server.Sh("ip link add br0 up address 02:00:00:00:00:02 type bridge; ip link add v0 master br0 type veth peer name eth0 netns " + container.Path())
	server.Sh("ip link set v0 up; ip addr add 10.1.0.192/32 dev br0; ip addr add fd01::c0/128 dev br0 nodad")
	container.Sh("ip link set eth0 up; ip addr add 10.1.0.9/24 dev eth0; ip addr add fd01::9/64 dev eth0 nodad")
	container.Sh("for a in 10.1.0.192 fd01::c0; do ip neigh add $a lladdr 02:00:00:00:00:01 nud stale dev eth0; done")
	known := func() string { return container.Sh("ip neigh show dev eth0 | grep -e 10.1.0.192 -e fd01::c0") }
	if have := known(); strings.Count(have, "02:00:00:00:00:01") != 2 {
		t.Fatalf("before: %s", have)
	}
	for range 1000 { // the kernel sees the carrier when it has time
		if strings.Contains(server.Sh("bridge link show dev v0"), "state forwarding") {
			break
		}
	}
	addrs := []netip.Addr{netip.MustParseAddr("10.1.0.192"), netip.MustParseAddr("fd01::c0")}
	server.Do(func() {
		if err := Announce("br0", addrs); err != nil {
			t.Error(err)
		}
	})
	for range 100 { // the frames are under way
		if strings.Count(known(), "02:00:00:00:00:02") == 2 {
			break
		}
	}
	if have := known(); strings.Count(have, "02:00:00:00:00:02") != 2 {
		t.Errorf("afterwards: %s", have)
	}
	server.Do(func() {
		if err := Announce("none", addrs); err == nil {
			t.Error("announced on a device that is not there")
		}
	})
}
