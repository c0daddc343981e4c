//go:build linux

package bgpctl

import (
	"os"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
)

// TestWorkstationIsNoted: it is that of the last session, which an undo or a boot does
// not forget, and a purge takes the note away.
func TestWorkstationIsNoted(t *testing.T) {
	s := host.NewFiles("default")
	s.Paths.Lib = t.TempDir()
	for _, c := range []struct{ connection, want string }{
		{"192.0.2.7 50000 10.99.0.1 22", "192.0.2.7\n"}, {"192.0.2.8 50001 10.99.0.1 22", "192.0.2.8\n"}, {"fd00::7 50001 fd00::1 22", "fd00::7\n"},
	} {
		t.Setenv("SSH_CONNECTION", c.connection)
		if err := NoteWorkstation(s); err != nil {
			t.Fatal(err)
		}
		if have, err := os.ReadFile(workstationFile(s)); err != nil || string(have) != c.want {
			t.Errorf("want %q, have %q, %v", c.want, have, err)
		}
	}
	traces, err := bgpTraces(s)
	if err != nil || !slices.Contains(traces, workstationFile(s)) {
		t.Errorf("what a purge takes away: %v %v", traces, err)
	}
}
