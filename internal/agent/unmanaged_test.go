//go:build linux

package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/dropin"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// A unit whose name looks like ours and that has no mark, or another cluster's, is
// not ours.
func TestForeignUnitsAreNotOurs(t *testing.T) {
	s := testFiles(t, newNFTHost(t))
	if err := os.MkdirAll(s.Paths.Units, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"flock-test-dns-vx1.service":   "[Unit]\n",
		"flock-test-b-dns-vx1.service": "# flock: test-b/vx1\n[Unit]\n",
		"flock-test-dns-vx2.service":   "# flock: test/vx2\n[Unit]\n",
	} {
		if err := os.WriteFile(filepath.Join(s.Paths.Units, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	units, err := s.Units.Ours()
	if err != nil || len(units) != 1 || !strings.HasSuffix(units[0], "vx2.service") {
		t.Errorf("units: %v, %v", units, err)
	}
}

func TestBootUnitFollowsTheAgent(t *testing.T) {
	s := testFiles(t, newNFTHost(t))
	ctx := context.Background()
	if err := ensureBoot(ctx, s); err != nil || sysfile.Exists(s.Units.Path(unit.Boot)) {
		t.Errorf("without systemd: %v", err)
	}
	for _, dir := range []string{s.Paths.Systemd, s.Paths.Units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := ensureBoot(ctx, s); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.Units.Path(unit.Boot), bootWish(s)} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "ExecStart="+self+" agent boot\n") {
			t.Errorf("%s: %s, %v", path, text, err)
		}
	}
	before, err := os.Stat(s.Units.Path(unit.Boot))
	if err != nil {
		t.Fatal(err)
	}
	if err := ensureBoot(ctx, s); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(s.Units.Path(unit.Boot)); err != nil || !os.SameFile(before, after) {
		t.Errorf("the unit was written again, %v", err)
	}
}

func BenchmarkObserveServices(b *testing.B) {
	h := newNFTHost(b)
	s := testFiles(b, h)
	d := testDHCP()
	h.sh("ip link add vxl0 type bridge; ip addr add 10.0.4.254/24 dev vxl0; ip link set vxl0 up")
	h.do(func() {
		if err := s.DHCP.Set(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	})
	want := &spec.Host{DHCPs: []spec.DHCP{d}, Unmanaged: []spec.Unmanage{{Links: []string{"vxl0"}}}}
	k := &host.Host{Files: s}
	h.do(func() {
		for b.Loop() {
			if err := dropin.UnmanagedFamily.Observe(b.Context(), k, want, &spec.Host{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
