package cli

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/spec"
)

// TestLoosePortsAreSaid: in status, in plans and after a change, with what plugs them in.
func TestLoosePortsAreSaid(t *testing.T) {
	for want, plan := range map[string]*spec.Plan{
		"note: s1: c1 is up and on no bridge, without address or route; a container's is plugged in by ip link set c1 master vxl0\n": {
			Loose: []string{"c1"}, Bridges: []string{"vxl0"},
		},
		"note: s1: c1, tap0 are up and on no bridge, without address or route; a container's is plugged in by ip link set PORT master BRIDGE\n": {
			Loose: []string{"c1", "tap0"}, Bridges: []string{"app0", "vxl0"},
		},
	} {
		for _, args := range []string{"status", "plan", "addnetwork vx1 s3", "addnetwork vx1 s3 --dry-run"} {
			b := newBench(t, three)
			b.engine.servers = []change.Server{{Name: "s1", State: change.Unchanged, Plan: plan}}
			if code := b.run(strings.Fields(args)...); code != command.ExitDone || !strings.Contains(b.out.String()+b.err.String(), want) {
				t.Errorf("%s: exit status %d, want %q, have\n%s%s", args, code, want, b.out.String(), b.err.String())
			}
		}
	}
}
