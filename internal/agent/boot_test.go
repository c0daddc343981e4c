//go:build linux

package agent

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/startup"
	"github.com/flocknet/flock/internal/spec"
)

func TestWhatWasNeverConfirmedIsAStep(t *testing.T) {
	want := &spec.Host{Links: []spec.Link{{Name: "vxl0"}}}
	unit := []spec.Step{{Action: spec.Add, Object: "unit flock-boot.service"}}
	kept := func(last *spec.Host) func() bool {
		return func() bool { return last.Sum() == want.Sum() }
	}
	if steps := withBoot(nil, nil, kept(want)); len(steps) != 0 {
		t.Errorf("confirmed: %v", steps)
	}
	if steps := withBoot(nil, nil, kept(nil)); len(steps) != 1 || steps[0].Object != "boot" {
		t.Errorf("the spec is gone: %v", steps)
	}
	if steps := withBoot(nil, unit, kept(nil)); len(steps) != 1 || steps[0] != unit[0] {
		t.Errorf("the first change: %v", steps)
	}
}

// TestBootOneClusterDoesNotWaitForAnother: one whose underlay does not come takes no
// time from the others, which are back while it still waits.
func TestBootOneClusterDoesNotWaitForAnother(t *testing.T) {
	m := newMachine(t)
	m.sh("ip addr add 10.97.0.1/24 dev eth0")
	m.stand(testHost(1450))
	first := &spec.Host{Cluster: "a", Store: "store2", Server: "s1", Links: []spec.Link{{
		Name: "a-vx", Network: "n", Kind: spec.VXLAN, MAC: "6a:0a:00:00:00:02", MTU: 1400,
		Tunnel: &spec.Tunnel{VNI: 43, Port: 4790, Local: netip.MustParseAddr("10.97.0.1")},
	}}}
	m.stand(first)
	m.sh("kill $(cat /run/flock/test.d/*.pid); ip link del vxl0-vx; ip link del vxl0; ip link del a-vx; ip addr del 10.97.0.1/24 dev eth0; rm -r /run/flock")
	boot := m.agent("boot")
	if err := boot.Start(); err != nil {
		t.Fatal(err)
	}
	has := func(link string) bool { return m.command("ip", "link", "show", link).Run() == nil }
	m.until("one is back", func() bool { return has("vxl0-vx") })
	if has("a-vx") || boot.Process.Signal(unix.Signal(0)) != nil {
		t.Error("the other did not wait for its underlay")
	}
	m.sh("ip addr add 10.97.0.1/24 dev eth0")
	if err := boot.Wait(); err != nil || !has("a-vx") {
		t.Errorf("the other: %v, %v", has("a-vx"), err)
	}
}

// TestBootLimitsAddUp: systemd never ends a boot that its own limits would have ended.
func TestBootLimitsAddUp(t *testing.T) {
	if own := bootWithin + 2*bootWithin; own+startSpare >= startup.BootLimit {
		t.Errorf("the lock and patience alone take %v of %v", own, startup.BootLimit)
	}
	for _, limit := range []time.Duration{startup.EarlyLimit, startup.RulesLimit} {
		if limit < 3*startSpare {
			t.Errorf("%v leaves no time to do anything", limit)
		}
	}
}
