//go:build linux

package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// A server with the boot unit of an earlier agent gets the rules unit with the next apply,
// and the plan says so; links of others beside ours stay when ours go.
func TestRulesUnitIsPlannedMadeAndRemoved(t *testing.T) {
	s := testFiles(t, newNFTHost(t))
	ctx := context.Background()
	want := &spec.Host{Links: []spec.Link{{Name: "vxl0"}}}
	expect := func(what, step string) {
		t.Helper()
		steps, err := unitSteps(s, want)
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
	if err := ensureBoot(ctx, s); err != nil {
		t.Fatal(err)
	}
	expect("whole", "")
	text, err := os.ReadFile(filepath.Join(s.Paths.Units, "docker.service.wants/flock-rules@docker.service"))
	if err != nil || !strings.Contains(string(text), "\nReloadPropagatedFrom=%i.service\n") {
		t.Errorf("Docker's start does not start the unit: %v, %s", err, text)
	}
	if err := os.Remove(rulesWish(s, "ufw.service")); err != nil {
		t.Fatal(err)
	}
	expect("one link is gone", "~ unit flock-rules@.service: disabled -> enabled")
	if err := os.Remove(s.Units.Path(unit.Rules)); err != nil {
		t.Fatal(err)
	}
	expect("the unit is gone", "+ unit flock-rules@.service")
	if err := ensureBoot(ctx, s); err != nil {
		t.Fatal(err)
	}
	expect("mended", "")

	foreign := filepath.Join(s.Paths.Units, "ufw.service.wants", "mine.service")
	if err := sysfile.Write(foreign, "", 0o644, false); err != nil {
		t.Fatal(err)
	}
	if err := removeRules(s); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.Paths.Units, "*.wants", "*"))
	if err != nil || len(left) != 2 || !sysfile.Exists(foreign) || sysfile.Exists(s.Units.Path(unit.Rules)) || sysfile.Exists(filepath.Dir(rulesWish(s, "docker.service"))) {
		t.Errorf("left: %v, %v", left, err)
	}
}
