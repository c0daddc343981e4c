//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/sysfile"
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

// TestUnitNamesNeverMeet: whatever clusters, networks and devices are called. The daemons
// are those of the table of families, and dnsmasq's.
func TestUnitNamesNeverMeet(t *testing.T) {
	whose := map[string]string{}
	names := []string{"a", "b", "a-dns", "dns-b", "a-b", "b-c", "a.b", "a-front", "front-b", "bgp", "resolve", "attach", "a-wg", "wg-b", "a_b", "a-dns-b"}
	for _, cluster := range names {
		s := host.NewFiles(cluster)
		daemons := map[string]bool{}
		for _, n := range names {
			h := fullHost()
			h.Links = []spec.Link{{Name: n, Network: n, Kind: spec.WireGuard}, {Name: n, Network: n, Kind: spec.UDP}}
			h.DHCPs = []spec.DHCP{{Network: n, Peers: addrs("10.99.0.2")}}
			for _, f := range families {
				if f.Daemons == nil {
					continue
				}
				list := f.Daemons(s, h)
				if len(list) == 0 {
					t.Errorf("no daemon of %s: it is not tested", f.What)
				}
				for _, d := range list {
					daemons[d.Name] = true
				}
			}
			for _, d := range s.DHCP.Daemons(n) {
				daemons[d] = true
			}
		}
		for daemon := range daemons {
			unit, id := s.Units.Name(daemon), cluster+" "+daemon
			if other := whose[unit]; other != "" {
				t.Errorf("%s is %q's and %q's", unit, other, id)
			}
			whose[unit] = id
			if have := s.Units.DaemonOf("/etc/systemd/system/" + unit); have != daemon {
				t.Errorf("%s: want %s, have %s", unit, daemon, have)
			}
		}
		if want := 3 + 5*len(names); len(daemons) != want { // of the cluster; of each network or device
			t.Errorf("%d daemons of %s, want %d: two have one name", len(daemons), cluster, want)
		}
	}
}

// TestForgetLeavesWhatOthersCallAlike: networks have directories beside those of clusters.
func TestForgetLeavesWhatOthersCallAlike(t *testing.T) {
	s := host.FilesAt("a", host.Paths{Lib: t.TempDir(), Run: t.TempDir(), Units: t.TempDir()})
	other := host.FilesAt("b", s.Paths)
	env := filepath.Join(other.Paths.Run, "a.d", "subnet.env")
	place(t, "# flock: b/a.d\n", env, s.Units.PIDFile(link.Resolver(s)))
	if err := s.Forget(); err != nil {
		t.Fatal(err)
	}
	if !sysfile.Exists(env) || sysfile.Exists(s.Units.PIDFile(link.Resolver(s))) {
		t.Errorf("of the other cluster: %v, of this one: %v", sysfile.Exists(env), sysfile.Exists(s.Units.PIDFile(link.Resolver(s))))
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
