//go:build linux

package dhcp

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// place puts files with text where they belong, with their directories.
func place(t *testing.T, text string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFilesOfANetworkCalledKey: what ends in .key is a key, what begins with dnsmasq- need
// not be dnsmasq's.
func TestFilesOfANetworkCalledKey(t *testing.T) {
	s := serverIn(t.TempDir())
	all := wg.NewKeys(s.has.Dir, map[string]bool{})
	p := s.process(leaf, "x.key")
	files := []string{p.Conf, p.Hosts, p.Leases, p.PIDFile}
	place(t, "text", files...)
	keys := all.Files("dnsmasq-vx1-wg") // a bridge may be called dnsmasq-vx1
	place(t, "", keys...)
	if left, err := s.Remains(); err != nil || len(left) != len(files) {
		t.Errorf("want %d left, have %q, %v", len(files), left, err)
	}
	if have, err := all.All(); err != nil || len(have) != len(keys) {
		t.Errorf("keys: %v, %v", have, err)
	}
	if err := all.Finish(&spec.Host{Cluster: "test"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if !sysfile.Exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	if sysfile.Exists(keys[0]) || sysfile.Exists(keys[1]) {
		t.Error("keys that nothing needs are there")
	}
}

// TestNetworksAreFoundByFormerUnits: a cluster's units had other names once.
func TestNetworksAreFoundByFormerUnits(t *testing.T) {
	s := serverIn(t.TempDir())
	place(t, "# flock: test/b\n[Service]\nExecStart=/none\n", s.units.Path(s.units.FormerName("dns-b")))
	if networks, err := s.networks(); err != nil || !slices.Equal(networks, []string{"b"}) {
		t.Errorf("networks: %v, %v", networks, err)
	}
}
