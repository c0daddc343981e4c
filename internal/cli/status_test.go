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

// Metrics are for status alone; other commands do not offer them.
func TestOnlyStatusPrintsMetrics(t *testing.T) {
	b := newBench(t, three)
	if code := b.run("status", "-o", "prometheus"); code != command.ExitDone || !strings.Contains(b.out.String(), "# TYPE flock_server_state gauge\n") {
		t.Errorf("exit status %d: %s%s", code, b.out.String(), b.err.String())
	}
	contacts := b.engine.contacts
	for _, args := range []string{"listnetworks -o prometheus", "plan -o prometheus", "apply -o prometheus"} {
		if code := b.run(strings.Fields(args)...); code != command.ExitUsage || b.engine.contacts != contacts || !strings.Contains(b.err.String(), "next:  flock status -o prometheus") {
			t.Errorf("%s: exit status %d: %s", args, code, b.err.String())
		}
	}
	for command, want := range map[string]string{"status": "table\njson\nwide\nprometheus\n:4\n", "listnetworks": "table\njson\nwide\n:4\n"} {
		b.run("__completeNoDesc", command, "-o", "")
		if have := b.out.String(); have != want {
			t.Errorf("%s -o: completion offers %q", command, have)
		}
	}
}
