//go:build linux

package dropin

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// zoneHost has a bridge, a tunnel that shares a subnet, and a pool.
func zoneHost() *spec.Host {
	p := netip.MustParsePrefix
	return &spec.Host{
		Links:  []spec.Link{{Name: "vxl0", Kind: spec.Bridge}, {Name: "vxl0-vx", Kind: spec.VXLAN}, {Name: "wirex", Kind: spec.WireGuard}},
		Claims: []spec.Claim{{Prefix: p("10.0.9.0/24")}, {Prefix: p("10.0.13.0/24"), Shared: true}},
		Keeps:  []spec.PreserveSource{{Subnet: p("10.0.3.0/24"), Link: "wirex"}, {Subnet: p("10.244.1.0/24"), To: []netip.Prefix{p("10.244.0.0/16")}}},
	}
}

// TestZoneIsWhatNetworksForward: bridges, and addresses of what comes by tunnels and
// underlay; what somebody gave to another zone stays there.
func TestZoneIsWhatNetworksForward(t *testing.T) {
	s := host.FilesAt("default", host.Paths{Firewalld: filepath.Join(t.TempDir(), "zones")})
	k := &host.Host{Files: s}
	implied := func(want *spec.Host) string {
		t.Helper()
		out, err := impliedZone(k, want)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Firewalld) == 0 {
			return ""
		}
		return strings.Join(out.Firewalld[0].Links, " ")
	}
	if have := implied(zoneHost()); have != "" {
		t.Errorf("without firewalld: %q", have)
	}
	if err := os.MkdirAll(s.Paths.Firewalld, 0o755); err != nil {
		t.Fatal(err)
	}
	if have := implied(&spec.Host{}); have != "" {
		t.Errorf("where nothing is wanted: %q", have)
	}
	if have := implied(zoneHost()); have != "10.0.13.0/24 10.0.3.0/24 10.244.0.0/16 10.244.1.0/24 vxl0" {
		t.Errorf("have %q", have)
	}
	text := "<zone>\n  <interface name=\"vxl0\"/>\n  <source address=\"10.0.13.0/24\"/>\n</zone>\n"
	if err := os.WriteFile(filepath.Join(s.Paths.Firewalld, "trusted.xml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if have := implied(zoneHost()); have != "10.0.3.0/24 10.244.0.0/16 10.244.1.0/24" {
		t.Errorf("beside a zone of somebody: %q", have)
	}
}

// TestZoneFileIsSeenRepairedAndRemoved: without firewalld running, which the walk has.
func TestZoneFileIsSeenRepairedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	s := host.FilesAt("default", host.Paths{Firewalld: filepath.Join(dir, "zones"), Run: filepath.Join(dir, "run")})
	if err := os.MkdirAll(s.Paths.Firewalld, 0o755); err != nil {
		t.Fatal(err)
	}
	k := &host.Host{Files: s}
	want, err := impliedZone(k, zoneHost())
	if err != nil {
		t.Fatal(err)
	}
	seen := func(want *spec.Host) []string {
		t.Helper()
		have := &spec.Host{}
		if err := FirewalldFamily.Observe(t.Context(), k, want, have); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, step := range family.Steps(family.Diff([]*family.Family{&FirewalldFamily}, want, have)) {
			out = append(out, step.Action+" "+step.Object)
		}
		return out
	}
	set := func(want *spec.Host) {
		t.Helper()
		op := family.Op{}
		if len(want.Firewalld) > 0 {
			op.Want = want.Firewalld[0]
		}
		if err := FirewalldFamily.One(t.Context(), family.NewApplier(k, nil, want, nil), op); err != nil {
			t.Fatal(err)
		}
	}
	if have := seen(want); !slices.Equal(have, []string{"+ firewalld"}) {
		t.Errorf("before: %q", have)
	}
	set(want)
	if have := seen(want); len(have) > 0 {
		t.Errorf("after: %q", have)
	}
	path := filepath.Join(s.Paths.Firewalld, "default-flock.xml")
	text, err := sysfile.ReadIfThere(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`  <interface name="vxl0"/>`, `  <source address="10.0.13.0/24"/>`, `<zone target="ACCEPT">`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
		damaged := strings.ReplaceAll(text, line+"\n", "")
		if err := os.WriteFile(path, []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		if have := seen(want); !slices.Equal(have, []string{"~ firewalld"}) {
			t.Errorf("without %s: %q", line, have)
		}
	}
	set(want)
	if have := seen(want); len(have) > 0 {
		t.Errorf("repaired: %q", have)
	}
	if names, err := FirewalldFamily.Remains(k); err != nil || !slices.Equal(names, []string{path}) {
		t.Errorf("remains %q, %v", names, err)
	}
	if err := os.WriteFile(path+".old", nil, 0o644); err != nil { // firewalld keeps one
		t.Fatal(err)
	}
	if have := seen(&spec.Host{}); !slices.Equal(have, []string{"- firewalld"}) {
		t.Errorf("unwanted: %q", have)
	}
	set(&spec.Host{})
	if left, err := sysfile.Names(s.Paths.Firewalld); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// TestZoneNamesAreFirewalldsToTake: 17 letters at most (firewalld, max_zone_name_len).
func TestZoneNamesAreFirewalldsToTake(t *testing.T) {
	a := zoneName(host.FilesAt("a-cluster-of-many-letters-1", host.Paths{}))
	b := zoneName(host.FilesAt("a-cluster-of-many-letters-2", host.Paths{}))
	if a == b || len(a) > 17 || len(b) > 17 {
		t.Errorf("%q and %q", a, b)
	}
}
