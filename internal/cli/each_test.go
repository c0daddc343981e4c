package cli

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
)

// TestEachReadsItsWords: servers stand before the first --, the command behind it, with its
// own options.
func TestEachReadsItsWords(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // what was run, or the refusal
		code int
	}{
		{"each -- uptime -p", "s1: ran uptime -p\ns2: ran uptime -p\ns3: ran uptime -p\n", 0},
		{"each s2 s1 -- ls -- -l", "s1: ran ls -- -l\ns2: ran ls -- -l\n", 0},
		{"each s1 uptime", "each needs a command", command.ExitUsage},
		{"each s1 --", "each needs a command", command.ExitUsage},
		{"each", "each needs a command", command.ExitUsage},
		{"each s9 -- uptime", "unknown server s9", command.ExitUsage},
		{"each s1 s1 -- uptime", "named twice", command.ExitUsage},
		{"ssh", "too few words", command.ExitUsage},
		{"ssh s9", "unknown server s9", command.ExitUsage},
		{"ssh --dry-run s1", "does not know --dry-run", command.ExitUsage},
	} {
		b := newBench(t, three)
		if code := b.run(strings.Fields(test.args)...); code != test.code || !strings.Contains(b.out.String()+b.err.String(), test.want) {
			t.Errorf("%s: exit status %d, have\n%s%s", test.args, code, b.out.String(), b.err.String())
		}
		if test.code != 0 && b.engine.contacts > 0 {
			t.Errorf("%s: somebody was contacted", test.args)
		}
	}
}
