package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
)

const captured = `[network.n1]
type = "vxlan"
members = ["s1", "s2"]
`

// What is no capture is refused before a server is contacted, and before a file is made.
func TestCaptureRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, says string }{
		{"n1 tcp and", "ends too early"},
		{"n1 vlan 7", "is not among what a filter can have here"},
		{"n1 host s9", "neither an address nor a member"},
		{"n1 port 80 )", "is missing before it"},
		{"n9 icmp", "unknown network n9"},
		{"n1 --for -1s", "is no time"},
		{"n1 --count -1", "is no number of packets"},
		{"n1 --size 10X", "is no size"},
		{"n1 --size 0M", "is no size"},
		{"n1 --size 9999999G", "is no size"},
		{"n1 --snaplen 262145", "is not from 1 to 262144 bytes"},
		{"n1 --dry-run", "does not know --dry-run"},
		{"", "too few words"},
	} {
		b := newBench(t, stands+captured)
		file := filepath.Join(t.TempDir(), "x.pcapng")
		status := b.call(append([]string{"capture", "-o", file}, strings.Fields(test.args)...)...)
		if status != command.ExitUsage || !strings.Contains(b.err.String(), test.says) || b.engine.contacts > 0 {
			t.Errorf("%s: exit %d, %d contacts\n%s", test.args, status, b.engine.contacts, b.err.String())
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: a file was made", test.args)
		}
	}
}

// A filter for what is left out without being asked is told so.
func TestCaptureSaysWhatItHides(t *testing.T) {
	t.Parallel()
	const says = "TCP port 22 at the servers' addresses, by which flock logs in, is left out; --ssh takes it in"
	for args, said := range map[string]bool{"n1 port 22": true, "n1 port 22 --ssh": false, "n1 port 80": false} {
		b := newBench(t, stands+captured)
		b.call(append([]string{"capture"}, strings.Fields(args)...)...)
		if strings.Contains(b.err.String(), says) != said {
			t.Errorf("%s: %s", args, b.err.String())
		}
	}
}
