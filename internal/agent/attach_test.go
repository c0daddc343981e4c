//go:build linux

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/attach"
	"github.com/flocknet/flock/internal/spec"
)

// pairGone waits until the kernel has taken the pair of a namespace that was deleted away.
const pairGone = "timeout 20 sh -c 'while ip link show flk-0a0b0c0d; do :; done' >/dev/null 2>&1"

// endsAttaching ends the process that attaches containers, also of a test that failed.
func endsAttaching(t *testing.T, k *Kernel) {
	t.Cleanup(func() {
		if err := k.Units.Stop(context.Background(), attach.Daemon(k.Files)); err != nil {
			t.Error(err)
		}
	})
}

// TestAttachmentsAreSeenAndMended: whatever of an interface differs in its container or on
// the server is seen and mended; it goes without a trace, and what is not there waits.
func TestAttachmentsAreSeenAndMended(t *testing.T) {
	name := fmt.Sprintf("flt%d", os.Getpid())
	ownNet(t)
	sh(t, "ip netns add "+name)
	t.Cleanup(func() { sh(t, "ip netns del "+name+" 2>/dev/null || true") })
	at := spec.Attachment{
		Container: "netns/" + name, Interface: "eth1", Host: "flk-0a0b0c0d", Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:0a:0b:0c:0d", MTU: 1450,
		Addrs: []netip.Prefix{prefix("10.0.4.200/24"), prefix("fd04::aaaa/64")}, Gateways: []netip.Addr{addr("10.0.4.1"), addr("fd04::1")},
	}
	want := segment()
	want.Attached = []spec.Attachment{at}
	dir := t.TempDir()
	t.Setenv(testDir, dir)
	k := open(t, "t", dir)
	endsAttaching(t, k)
	apply(t, k, want)
	for _, drift := range []string{
		"ip link set flk-0a0b0c0d nomaster", "ip link set flk-0a0b0c0d down", "ip link set flk-0a0b0c0d mtu 1400", "ip link del flk-0a0b0c0d",
		"ip -n $N link set eth1 down", "ip -n $N link set eth1 mtu 1400", "ip -n $N link set eth1 address 02:00:00:00:00:01", "ip -n $N link set eth1 name eth7",
		"ip -n $N addr del 10.0.4.200/24 dev eth1", "ip -n $N route del default", "ip -n $N -6 route del default",
		"ip link set flk-0a0b0c0d alias 'flock:t/vx1/netns/$N/eth1 10.0.4.9/24'", "ip netns del $N; ip netns add $N; " + pairGone,
	} {
		sh(t, strings.ReplaceAll(drift, "$N", name))
		if plan(t, k, want) == "" {
			t.Errorf("not seen: %s", drift)
		}
		apply(t, k, want)
		if left := plan(t, k, want); left != "" {
			t.Errorf("after %s there is left to do:\n%s", drift, left)
		}
	}
	// The kernel takes the pair away a moment after the name; here a process keeps it.
	holder := exec.Command("ip", "netns", "exec", name, "sleep", "120")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = holder.Process.Kill(), holder.Wait() })
	poll(t, func() error { return exec.Command("sh", "-c", "ip netns pids "+name+" | grep .").Run() })
	sh(t, "ip netns del "+name)
	if left := plan(t, k, want); left != "" || len(k.Awaited) != 1 {
		t.Errorf("a container that is gone is awaited: %v, left to do:\n%s", k.Awaited, left)
	}
	sh(t, "ip netns add "+name)
	apply(t, k, want)
	if left := plan(t, k, want); left != "" || len(k.Awaited) > 0 {
		t.Errorf("one that came again is awaited: %v, left to do:\n%s", k.Awaited, left)
	}
	apply(t, k, segment())
	sh(t, "! ip link show flk-0a0b0c0d && ! ip -n "+name+" link show eth1")
}

// TestInterfacesOfOthersAreMovedAndGivenBack: an interface that a container has from somebody
// else goes to the bridge with its pair, is held there, and is afterwards what it was.
func TestInterfacesOfOthersAreMovedAndGivenBack(t *testing.T) {
	name := fmt.Sprintf("flm%d", os.Getpid())
	ownNet(t)
	sh(t, strings.ReplaceAll(`ip netns add $N && ip link add br9 type bridge && ip link set br9 up && ip addr add 10.0.3.1/24 dev br9
		ip link add hers address 02:00:00:00:00:09 type veth peer name p9 && ip link set hers netns $N name eth0 && ip link set p9 master br9 up
		ip -n $N link set eth0 up && ip -n $N addr add 10.0.3.7/24 dev eth0 && ip -n $N route add default via 10.0.3.1`, "$N", name))
	t.Cleanup(func() { sh(t, "ip netns del "+name+" 2>/dev/null || true") })
	at := spec.Attachment{
		Container: "netns/" + name, Interface: "eth0", Host: "flk-0a0b0c0d", Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:0a:0b:0c:0d", MTU: 1450, Moved: true,
		Addrs: []netip.Prefix{prefix("10.0.4.200/24")}, Gateways: []netip.Addr{addr("10.0.4.1")},
	}
	want := segment()
	want.Attached = []spec.Attachment{at}
	dir := t.TempDir()
	t.Setenv(testDir, dir)
	k := open(t, "t", dir)
	endsAttaching(t, k)
	look := "ip -br -d addr show dev eth0; ip route | sed s,.proto.[a-z0-9]*,,; cat /sys/class/net/eth0/address"
	look = "ip netns exec " + name + " sh -c '" + look + "'; ip -br link show master br9"
	before := sh(t, look)
	apply(t, k, want)
	for _, drift := range []string{
		"true", "ip link set p9 master br9", "ip link set p9 mtu 1400", "ip -n $N link set eth0 address 02:00:00:00:00:01", "ip -n $N addr del 10.0.4.200/24 dev eth0",
	} {
		sh(t, strings.ReplaceAll(drift, "$N", name))
		if drift != "true" && plan(t, k, want) == "" {
			t.Errorf("not seen: %s", drift)
		}
		apply(t, k, want)
		if left := plan(t, k, want); left != "" {
			t.Errorf("after %s there is left to do:\n%s", drift, left)
		}
		sh(t, strings.ReplaceAll("ip -br link show master vxl0 | grep p9 && ip -n $N addr show eth0 | grep 10.0.4.200 && ! ip -n $N addr show eth0 | grep 10.0.3.7 && ! ip link show flk-0a0b0c0d", "$N", name))
	}
	other := at
	other.Addrs = []netip.Prefix{prefix("10.0.4.201/24")}
	want.Attached = []spec.Attachment{other}
	apply(t, k, want)
	sh(t, strings.ReplaceAll("ip -n $N addr show eth0 | grep 10.0.4.201 && ! ip -n $N addr show eth0 | grep 10.0.4.200", "$N", name))
	apply(t, k, segment())
	if after := sh(t, look); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	sh(t, "! ip link show p9 | grep flock:")
}

// TestDefaultRouteOfOneThatGoes: where an interface goes that had the container's default
// route, the plan says that another one brings it.
func TestDefaultRouteOfOneThatGoes(t *testing.T) {
	name := fmt.Sprintf("fld%d", os.Getpid())
	ownNet(t)
	sh(t, "ip netns add "+name)
	t.Cleanup(func() { sh(t, "ip netns del "+name+" 2>/dev/null || true") })
	one := spec.Attachment{
		Container: "netns/" + name, Interface: "eth0", Host: "flk-0a0b0c0d", Network: "vx1", Bridge: "vxl0", MAC: "6a:0c:0a:0b:0c:0d", MTU: 1450,
		Addrs: []netip.Prefix{prefix("10.0.4.200/24")}, Gateways: []netip.Addr{addr("10.0.4.1")},
	}
	other := one
	other.Interface, other.Host, other.MAC, other.Addrs = "eth1", "flk-0a0b0c0e", "6a:0c:0a:0b:0c:0e", []netip.Prefix{prefix("10.0.4.201/24")}
	want := segment()
	want.Attached = []spec.Attachment{one, other}
	dir := t.TempDir()
	t.Setenv(testDir, dir)
	k := open(t, "t", dir)
	endsAttaching(t, k)
	apply(t, k, want)
	sh(t, "ip -n "+name+" route show default | grep eth0")
	want.Attached = want.Attached[1:]
	if steps := plan(t, k, want); !strings.Contains(steps, "eth1: none -> via 10.0.4.1") {
		t.Errorf("planned:\n%s", steps)
	}
	apply(t, k, want)
	sh(t, "ip -n "+name+" route show default | grep eth1")
}
