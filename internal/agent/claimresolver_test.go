//go:build linux

package agent

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
)

func TestResolversOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# nameserver 192.0.2.1\nsearch x\nnameserver 10.0.11.53\nnameserver 127.0.0.53\n nameserver\tfe80::1%eth0 # x\nnameserver\nnameserver x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []netip.Addr{addr("10.0.11.53"), addr("fe80::1")}
	if have := resolversOf([]string{path + ".none", path}); !slices.Equal(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
}

// TestWorkstationIsNoted: it is that of the last session, which an undo or a boot does
// not forget, and a purge takes the note away.
func TestWorkstationIsNoted(t *testing.T) {
	s := host.NewFiles("default")
	s.Paths.Lib = t.TempDir()
	for _, c := range []struct{ connection, want string }{
		{"192.0.2.7 50000 10.99.0.1 22", "192.0.2.7\n"}, {"192.0.2.8 50001 10.99.0.1 22", "192.0.2.8\n"}, {"fd00::7 50001 fd00::1 22", "fd00::7\n"},
	} {
		t.Setenv("SSH_CONNECTION", c.connection)
		if err := noteWorkstation(s); err != nil {
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
