//go:build linux

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

func TestPlanNamesTheBootUnitAndChangesNothing(t *testing.T) {
	s := testFiles(t, newNFTHost(t))
	ctx := context.Background()
	want := &spec.Host{Links: []spec.Link{{Name: "vxl0"}}}
	expect := func(what, step string) {
		t.Helper()
		steps, err := bootStep(s, want)
		have := ""
		for _, step := range steps {
			have += step.String()
		}
		if err != nil || have != step {
			t.Errorf("%s: want %q, have %q, %v", what, step, have, err)
		}
	}
	expect("without systemd", "")
	for _, dir := range []string{s.Paths.Systemd, s.Paths.Units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	expect("no unit", "+ unit flock-boot.service")
	if sysfile.Exists(s.Units.Path(unit.Boot)) || sysfile.Exists(bootWish(s)) {
		t.Error("looking made the unit")
	}
	if steps, err := bootStep(s, &spec.Host{}); err != nil || len(steps) > 0 {
		t.Errorf("no networks: %v, %v", steps, err)
	}
	if err := ensureBoot(ctx, s); err != nil {
		t.Fatal(err)
	}
	expect("whole", "")
	if err := os.Remove(bootWish(s)); err != nil {
		t.Fatal(err)
	}
	expect("disabled", "~ unit flock-boot.service: disabled -> enabled")
	for step, program := range map[string]string{
		"": "/bin/sh", // another version, still there
		"~ unit flock-boot.service: its program is gone": "/usr/local/lib/flock/0/flock",
	} {
		text, err := bootText(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := sysfile.Write(s.Units.Path(unit.Boot), text, 0o644, false); err != nil {
			t.Fatal(err)
		}
		if err := enableBoot(s); err != nil {
			t.Fatal(err)
		}
		expect(program, step)
	}
	if err := sysfile.Write(s.Units.Path(unit.Boot), "[Unit]\n", 0o644, false); err != nil {
		t.Fatal(err)
	}
	expect("edited", "~ unit flock-boot.service: somebody changed it")
}

func TestWhatWasNeverConfirmedIsAStep(t *testing.T) {
	want := &spec.Host{Links: []spec.Link{{Name: "vxl0"}}}
	unit := []spec.Step{{Action: spec.Add, Object: "unit flock-boot.service"}}
	if steps := withBoot(nil, nil, want, want); len(steps) != 0 {
		t.Errorf("confirmed: %v", steps)
	}
	if steps := withBoot(nil, nil, nil, want); len(steps) != 1 || steps[0].Object != "boot" {
		t.Errorf("the spec is gone: %v", steps)
	}
	if steps := withBoot(nil, unit, nil, want); len(steps) != 1 || steps[0] != unit[0] {
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
	text, err := bootText("/none")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("TimeoutStartSec=%d\n", int(bootLimit.Seconds())); !strings.Contains(text, want) {
		t.Errorf("want %s, have %s", want, text)
	}
	if own := bootWithin + 2*bootWithin; own+bootSpare >= bootLimit {
		t.Errorf("the lock and patience alone take %v of %v", own, bootLimit)
	}
}
