//go:build linux

package agent

import (
	"context"
	"os"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

func TestPlanNamesTheBootUnitAndChangesNothing(t *testing.T) {
	s := testServices(t, newNFTHost(t))
	ctx := context.Background()
	want := &spec.Host{Links: []spec.Link{{Name: "vxl0"}}}
	expect := func(what, step string) {
		t.Helper()
		steps, err := s.bootStep(want)
		have := ""
		for _, step := range steps {
			have += step.String()
		}
		if err != nil || have != step {
			t.Errorf("%s: want %q, have %q, %v", what, step, have, err)
		}
	}
	expect("without systemd", "")
	for _, dir := range []string{s.paths.systemd, s.paths.units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	expect("no unit", "+ unit flock-boot.service")
	if exists(s.unitPath(bootUnit)) || exists(s.bootWish()) {
		t.Error("looking made the unit")
	}
	if steps, err := s.bootStep(&spec.Host{}); err != nil || len(steps) > 0 {
		t.Errorf("no networks: %v, %v", steps, err)
	}
	if err := s.ensureBoot(ctx); err != nil {
		t.Fatal(err)
	}
	expect("whole", "")
	if err := os.Remove(s.bootWish()); err != nil {
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
		if err := writeFile(s.unitPath(bootUnit), text, 0o644, false); err != nil {
			t.Fatal(err)
		}
		if err := s.enableBoot(); err != nil {
			t.Fatal(err)
		}
		expect(program, step)
	}
	if err := writeFile(s.unitPath(bootUnit), "[Unit]\n", 0o644, false); err != nil {
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
