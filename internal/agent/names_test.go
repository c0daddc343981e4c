//go:build linux

package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// place puts files with text below a services' directories.
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

// fakeSystemd makes s a server with systemd, whose systemctl writes down what it was told.
func fakeSystemd(t *testing.T, s *services) (told func() []string) {
	t.Helper()
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+log+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, dir := range []string{s.Paths.Systemd, s.Paths.Units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func() []string {
		text, err := sysfile.ReadIfThere(log)
		if err := errors.Join(err, sysfile.Remove(log)); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return l == "" || strings.HasPrefix(l, "reset-failed") })
	}
}

// TestUnitNamesNeverMeet: whatever clusters, networks and devices are called.
func TestUnitNamesNeverMeet(t *testing.T) {
	whose := map[string]string{}
	names := []string{"a", "b", "a-dns", "dns-b", "a-b", "b-c", "a.b", "a-front", "front-b", "bgp", "resolve", "a-wg", "wg-b", "a_b", "a-dns-b"}
	for _, cluster := range names {
		s := servicesOf(host.NewFiles(cluster))
		daemons := []string{bgpctl.Daemon(s.Files).Name, link.Resolver(s.Files).Name}
		for _, n := range names {
			daemons = append(daemons, s.process(leaf, n).daemon, s.process(front, n).daemon, link.WGDaemon(s.Files, n, "").Name, link.UDPDaemon(s.Files, n, "").Name, s.namesDaemon(n).Name)
		}
		for _, daemon := range daemons {
			unit, id := s.Units.Name(daemon), cluster+" "+daemon
			if other := whose[unit]; other != "" {
				t.Errorf("%s is %q's and %q's", unit, other, id)
			}
			whose[unit] = id
			if have := s.Units.DaemonOf("/etc/systemd/system/" + unit); have != daemon {
				t.Errorf("%s: want %s, have %s", unit, daemon, have)
			}
		}
	}
}

// TestFilesOfANetworkCalledKey: what ends in .key is a key, what begins with dnsmasq- need
// not be dnsmasq's.
func TestFilesOfANetworkCalledKey(t *testing.T) {
	s := servicesOf(host.FilesAt("test", host.Paths{Lib: t.TempDir(), Run: t.TempDir(), Units: t.TempDir()}))
	p := s.process(leaf, "x.key")
	dhcp := []string{p.conf, p.hosts, p.leases, p.pidFile}
	place(t, "text", dhcp...)
	keys := s.Keys.Files("dnsmasq-vx1-wg") // a bridge may be called dnsmasq-vx1
	place(t, "", keys...)
	if left, err := number(filesLeft(s.Files)); err != nil || left != len(dhcp) {
		t.Errorf("want %d left, have %d, %v", len(dhcp), left, err)
	}
	if have, err := s.Keys.All(); err != nil || len(have) != len(keys) {
		t.Errorf("keys: %v, %v", have, err)
	}
	if err := s.Keys.Finish(&spec.Host{Cluster: "test"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range dhcp {
		if !sysfile.Exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
	if sysfile.Exists(keys[0]) || sysfile.Exists(keys[1]) {
		t.Error("keys that nothing needs are there")
	}
}

// TestForgetLeavesWhatOthersCallAlike: networks have directories beside those of clusters.
func TestForgetLeavesWhatOthersCallAlike(t *testing.T) {
	s := servicesOf(host.FilesAt("a", host.Paths{Lib: t.TempDir(), Run: t.TempDir(), Units: t.TempDir()}))
	other := servicesOf(host.FilesAt("b", s.Paths))
	env := filepath.Join(other.Paths.Run, "a.d", "subnet.env")
	place(t, "# flock: b/a.d\n", env, s.Units.PIDFile(link.Resolver(s.Files)))
	if err := s.Forget(); err != nil {
		t.Fatal(err)
	}
	if !sysfile.Exists(env) || sysfile.Exists(s.Units.PIDFile(link.Resolver(s.Files))) {
		t.Errorf("of the other cluster: %v, of this one: %v", sysfile.Exists(env), sysfile.Exists(s.Units.PIDFile(link.Resolver(s.Files))))
	}
}

// TestFormerUnitIsTakenOver: a cluster's units were called so that another's could be
// meant. The one whose it is finds, moves and removes them.
func TestFormerUnitIsTakenOver(t *testing.T) {
	s := servicesOf(host.FilesAt("a-dns", host.Paths{Lib: t.TempDir(), Run: t.TempDir(), Units: t.TempDir(), Systemd: t.TempDir()}))
	other := servicesOf(host.FilesAt("a", s.Paths))
	told := fakeSystemd(t, s)
	ctx := context.Background()
	const former = "flock-a-dns-dns-b.service"
	mine, its := s.process(leaf, "b"), other.process(leaf, "dns-b")
	place(t, "# flock: a-dns/b\n[Service]\nExecStart=/none\n", s.Units.Path(former))

	if ours, err := other.Units.Ours(); err != nil || len(ours) > 0 {
		t.Errorf("cluster a's: %v, %v", ours, err)
	}
	if _, err := other.Units.Put(ctx, its.daemon, "# flock: a/dns-b\n"); err == nil || !strings.Contains(err.Error(), "cluster a-dns has one") {
		t.Errorf("overwritten: %v", err)
	}
	if ours, err := s.Units.Ours(); err != nil || len(ours) != 1 || s.Units.DaemonOf(ours[0]) != mine.daemon {
		t.Errorf("cluster a-dns's: %v, %v", ours, err)
	}
	if networks, err := s.dhcpNetworks(); err != nil || !slices.Equal(networks, []string{"b"}) {
		t.Errorf("networks: %v, %v", networks, err)
	}
	if _, err := s.Units.Put(ctx, mine.daemon, "# flock: a-dns/b\n"); err != nil {
		t.Fatal(err)
	}
	if have := told(); !slices.Equal(have, []string{"stop " + former}) || sysfile.Exists(s.Units.Path(former)) || !sysfile.Exists(s.Units.Path("flock-a:dns-dns-b.service")) {
		t.Errorf("told %q", have)
	}
	if _, err := other.Units.Put(ctx, its.daemon, "# flock: a/dns-b\n"); err != nil {
		t.Errorf("the name is free now: %v", err)
	}
	place(t, "# flock: a-dns\n", s.Units.Path(s.Units.FormerName("resolve")))
	if err := errors.Join(s.Units.Drop(ctx, mine.daemon), s.Units.Drop(ctx, "resolve")); err != nil {
		t.Fatal(err)
	}
	if left, err := number(filesLeft(s.Files)); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
	if left, err := number(filesLeft(other.Files)); err != nil || left != 1 {
		t.Errorf("cluster a: %d left, %v", left, err)
	}
}

// TestUnitIsReadThoughTheAgentDied: between the writing of a file and the word to systemd
// a process may end. The next one finds the file as it should be, and says the word.
func TestUnitIsReadThoughTheAgentDied(t *testing.T) {
	s := servicesOf(host.FilesAt("test", host.Paths{Lib: t.TempDir(), Run: t.TempDir(), Units: t.TempDir(), Systemd: t.TempDir()}))
	told := fakeSystemd(t, s)
	path := s.Units.Path(s.Units.Name("bgp"))
	put := func(ctx context.Context, text string, want ...string) {
		t.Helper()
		_, err := s.Units.Put(ctx, "bgp", text)
		if have, _ := sysfile.ReadIfThere(path); err != nil && ctx.Err() == nil || have != text {
			t.Errorf("%v, have %q", err, have)
		}
		if have := told(); !slices.Equal(have, want) {
			t.Errorf("%q: want %q, have %q", text, want, have)
		}
	}
	dead, die := context.WithCancel(t.Context())
	die()
	put(t.Context(), "# flock: test\n1") // it reads by itself what it does not know
	put(t.Context(), "# flock: test\n1")
	put(t.Context(), "# flock: test\n2", "daemon-reload")
	put(dead, "# flock: test\n3")
	put(t.Context(), "# flock: test\n3", "daemon-reload")
	put(t.Context(), "# flock: test\n3")
	put(dead, "# flock: test\n4")
	put(t.Context(), "# flock: test\n3", "daemon-reload")
	if files, err := os.ReadDir(s.RunDir()); err != nil || len(files) > 0 {
		t.Errorf("notes stay: %v, %v", files, err)
	}
}

// TestClusterNamesWithDots: what the workstation takes for a name, servers take.
func TestClusterNamesWithDots(t *testing.T) {
	m := newMachine(t)
	before := m.traces()
	for _, cluster := range []string{"lab.example-1", "default"} {
		c := m.call()
		want := testHost(1450)
		want.Cluster = cluster
		c.must(spec.Request{Op: spec.OpPlan, Want: want})
		c.must(spec.Request{Op: spec.OpApply, Want: want})
		c.must(spec.Request{Op: spec.OpConfirm})
		c.hangUp()
		m.boot()
		c = m.call()
		empty := emptyHost()
		empty.Cluster = cluster
		if left := c.must(spec.Request{Op: spec.OpApply, Want: empty}).Report.Left; left != 0 {
			t.Errorf("%s: %d left", cluster, left)
		}
		c.must(spec.Request{Op: spec.OpConfirm})
		c.hangUp()
		if after := m.traces(); after != before {
			t.Errorf("%s: want\n%s\nhave\n%s", cluster, before, after)
		}
	}
	c := m.call()
	bad := testHost(1450)
	for _, bad.Cluster = range []string{"", "..", "a/b", ".a"} {
		c.refused(spec.Request{Op: spec.OpPlan, Want: bad}, "cluster name")
	}
	c.hangUp()
}
