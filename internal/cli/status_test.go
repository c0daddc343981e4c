package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
)

// status takes networks and servers by their names, and nothing else.
func TestStatusOfServers(t *testing.T) {
	b := newBench(t, three)
	for args, want := range map[string][2][]string{
		"status":           {},
		"status vx1":       {{"vx1"}},
		"status s1":        {nil, {"s1"}},
		"status vx1 s3 s1": {{"vx1"}, {"s3", "s1"}},
	} {
		if code := b.run(strings.Fields(args)...); code != command.ExitDone {
			t.Errorf("%s: exit status %d: %s", args, code, b.err.String())
		}
		if r := b.engine.request; !slices.Equal(r.Networks, want[0]) || !slices.Equal(r.Contact, want[1]) {
			t.Errorf("%s: looked at networks %v, servers %v", args, r.Networks, r.Contact)
		}
	}
	contacts := b.engine.contacts
	if code := b.run("status", "s1", "nix"); code != command.ExitUsage || b.engine.contacts != contacts || !strings.Contains(b.err.String(), "nix is neither a network nor a server") {
		t.Errorf("exit status %d: %s", code, b.err.String())
	}
	b.run("__completeNoDesc", "status", "")
	if have := b.out.String(); !strings.HasPrefix(have, "vx1\ns1\ns2\ns3\n") {
		t.Errorf("completion offers %q", have)
	}
}
