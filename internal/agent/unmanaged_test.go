//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/dropin"
	"github.com/flocknet/flock/internal/agent/host"
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
