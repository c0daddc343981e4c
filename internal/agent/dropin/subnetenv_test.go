//go:build linux

package dropin

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

func envServices(t *testing.T) *host.Files {
	t.Helper()
	dir := t.TempDir()
	return host.FilesAt("test", host.Paths{
		Lib: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run"), Units: filepath.Join(dir, "units"),
		Network: filepath.Join(dir, "network"), NM: filepath.Join(dir, "nm"),
	})
}

func testEnv() spec.SubnetEnv {
	return spec.SubnetEnv{
		Network: "n1", MTU: 1450,
		Pools:   []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00:244::/48")},
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:244:0:1::1/64")},
	}
}

func TestSubnetEnvIsFlannels(t *testing.T) {
	s := envServices(t)
	if err := setEnv(s, testEnv()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(s.Paths.Run, "n1", "subnet.env"))
	if err != nil {
		t.Fatal(err)
	}
	// As flannel's CNI plugin reads it: what stands before and after the first "=".
	have := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			have[key] = value
		}
	}
	for key, want := range map[string]string{
		"FLANNEL_NETWORK": "10.244.0.0/16", "FLANNEL_SUBNET": "10.244.1.1/24", "FLANNEL_MTU": "1450", "FLANNEL_IPMASQ": "false",
		"FLANNEL_IPV6_NETWORK": "fd00:244::/48", "FLANNEL_IPV6_SUBNET": "fd00:244:0:1::1/64",
	} {
		if have[key] != want {
			t.Errorf("%s: want %q, have %q", key, want, have[key])
		}
	}
}

func TestSubnetEnvIsSeenRepairedAndRemoved(t *testing.T) {
	s := envServices(t)
	want := &spec.Host{Envs: []spec.SubnetEnv{testEnv()}}
	steps := func(want *spec.Host) []spec.Step {
		t.Helper()
		have := &spec.Host{}
		if err := observeEnvs(s, have); err != nil {
			t.Fatal(err)
		}
		return family.Steps(family.Diff([]*family.Family{&EnvFamily}, want, have))
	}
	if list := steps(want); len(list) != 1 || list[0].Action != spec.Add {
		t.Errorf("before: %v", list)
	}
	if err := setEnv(s, testEnv()); err != nil {
		t.Fatal(err)
	}
	if remains, err := envRemains(s); err != nil || len(remains) != 1 || len(steps(want)) != 0 {
		t.Errorf("after: there is %q, %v, %v", remains, err, steps(want))
	}
	path := envPath(s, "n1")
	text, err := sysfile.ReadIfThere(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{
		strings.ReplaceAll(text, "FLANNEL_MTU=1450", "FLANNEL_MTU=1400"), text + "X=1\n",
		strings.ReplaceAll(text, `"MTU":1450`, `"MTU":1400`), "# flock: test/n1\n",
	} {
		if err := os.WriteFile(path, []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		if list := steps(want); len(list) != 1 || list[0].Action != spec.Change {
			t.Errorf("damaged: %v", list)
		}
	}
	// Another cluster's is neither ours nor taken over.
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "test/n1", "other/n1")), 0o644); err != nil {
		t.Fatal(err)
	}
	if list, err := claimEnvs(s, want); err != nil || len(list) != 1 || !strings.Contains(list[0].What, "cluster other") || len(steps(&spec.Host{})) != 0 {
		t.Errorf("another cluster's: %v, %v", list, err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if list, err := claimEnvs(s, want); err != nil || len(list) != 0 {
		t.Errorf("ours: %v, %v", list, err)
	}
	if list := steps(&spec.Host{}); len(list) != 1 || list[0].String() != "- subnet.env n1" {
		t.Errorf("unwanted: %v", list)
	}
	if err := removeEnv(s, "n1"); err != nil || sysfile.Exists(filepath.Dir(path)) {
		t.Errorf("removal: %v", err)
	}
	// The server's lock is a file of that name.
	if err := os.WriteFile(filepath.Join(s.Paths.Run, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := claimEnvs(s, &spec.Host{Envs: []spec.SubnetEnv{{Network: "lock"}}}); err != nil || len(list) != 1 {
		t.Errorf("a file in the way: %v, %v", list, err)
	}
}
