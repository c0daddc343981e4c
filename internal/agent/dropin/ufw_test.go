//go:build linux

package dropin

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
)

// ufwTuples are lines of user.rules as ufw 0.36 writes them: ours for vxl0 and for vxl1,
// where one is missing, another cluster's, and somebody's.
const ufwTuples = `*filter
### RULES ###

### tuple ### allow udp 53,67,547,5354,5357 0.0.0.0/0 any 0.0.0.0/0 in_vxl0 comment=666c6f636b3a64656661756c74
-A ufw-user-input -i vxl0 -p udp -m multiport --dports 53,67,547,5354,5357 -j ACCEPT

### tuple ### allow tcp 53 0.0.0.0/0 any 0.0.0.0/0 in_vxl0 comment=666c6f636b3a64656661756c74
-A ufw-user-input -i vxl0 -p tcp --dport 53 -j ACCEPT

### tuple ### allow tcp 53 0.0.0.0/0 any 0.0.0.0/0 in_vxl1 comment=666c6f636b3a64656661756c74

### tuple ### allow tcp 53 0.0.0.0/0 any 0.0.0.0/0 in_vxl2 comment=666c6f636b3a6f74686572

### tuple ### allow any 22 0.0.0.0/0 any 0.0.0.0/0 in

### END RULES ###
`

// ufwPeer and ufwPeer6 are for an address of each family; those of devices are in both files.
const ufwPeer, ufwPeer6 = `### tuple ### allow udp 5356,5357 0.0.0.0/0 any 10.0.11.1 in comment=666c6f636b3a64656661756c74
`, `### tuple ### allow udp 53,67,547,5354,5357 ::/0 any ::/0 in_vxl0 comment=666c6f636b3a64656661756c74
### tuple ### allow udp 5356,5357 ::/0 any fd00:11::1 in comment=666c6f636b3a64656661756c74
`

func ufwHost(t *testing.T, conf string, rules ...string) *host.Host {
	t.Helper()
	s := host.FilesAt("default", host.Paths{UFW: t.TempDir()})
	rules = append(rules, "")
	for name, text := range map[string]string{"ufw.conf": conf, "user.rules": rules[0], "user6.rules": rules[1]} {
		if err := os.WriteFile(filepath.Join(s.Paths.UFW, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &host.Host{Files: s}
}

// ufwAt is where ufw is found in a test; "": it was removed.
func ufwAt(t *testing.T, path string) {
	t.Helper()
	before := ufwProgram
	t.Cleanup(func() { ufwProgram = before })
	ufwProgram = func() (string, error) {
		if path == "" {
			return "", exec.ErrNotFound
		}
		return path, nil
	}
}

// ufwSteps is what a plan says about ufw.
func ufwSteps(t *testing.T, k *host.Host, want *spec.Host) []string {
	t.Helper()
	want, err := impliedUFW(k, want)
	if err != nil {
		t.Fatal(err)
	}
	have := &spec.Host{}
	if err := UFWFamily.Observe(t.Context(), k, want, have); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, step := range family.Steps(family.Diff([]*family.Family{&UFWFamily}, want, have)) {
		out = append(out, step.Action+" "+step.Object)
	}
	return out
}

// TestUFWRulesAreSeen: where ufw is active, or has rules of the cluster's.
func TestUFWRulesAreSeen(t *testing.T) {
	one := strings.Split(ufwTuples, "### tuple ### allow tcp 53 0.0.0.0/0 any 0.0.0.0/0 in_vxl1")[0]
	dhcp := func(bridges ...string) *spec.Host {
		h := &spec.Host{}
		for _, b := range bridges {
			h.DHCPs = append(h.DHCPs, spec.DHCP{Bridge: b})
		}
		return h
	}
	const on, off = "# x\nENABLED=yes\n", "# x\nENABLED=no\n"
	for name, c := range map[string]struct {
		conf, rules string
		want        *spec.Host
		steps       []string
	}{
		"not active":            {off, "", dhcp("vxl0"), nil},
		"active":                {on, "", dhcp("vxl0"), []string{"+ ufw"}},
		"there":                 {on, one, dhcp("vxl0"), nil},
		"there, switched off":   {off, one, dhcp("vxl0"), nil},
		"one more":              {on, one, dhcp("vxl0", "vxl1"), []string{"~ ufw"}},
		"one is missing":        {on, ufwTuples, dhcp("vxl0", "vxl1"), []string{"~ ufw"}},
		"nothing is wanted":     {on, one, &spec.Host{}, []string{"- ufw"}},
		"no bridge needs it":    {on, "", &spec.Host{Links: []spec.Link{{Name: "wirex"}}}, nil},
		"unwanted, and damaged": {off, ufwTuples, &spec.Host{}, []string{"- ufw"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := ufwHost(t, c.conf, c.rules)
			ufwAt(t, "/usr/sbin/ufw")
			if have := ufwSteps(t, k, c.want); !slices.Equal(have, c.steps) {
				t.Errorf("want %q, have %q", c.steps, have)
			}
			ufwAt(t, "")
			if have := ufwSteps(t, k, c.want); len(have) > 0 {
				t.Errorf("removed, its files are left: %q", have)
			}
		})
	}
}

// TestUFWLetsPeersAsk: an address that routes lead to has a rule of its own, of its family.
func TestUFWLetsPeersAsk(t *testing.T) {
	one := strings.Split(ufwTuples, "### tuple ### allow tcp 53 0.0.0.0/0 any 0.0.0.0/0 in_vxl1")[0]
	peers := []netip.Addr{netip.MustParseAddr("10.0.11.1"), netip.MustParseAddr("fd00:11::1")}
	routed := &spec.Host{DHCPs: []spec.DHCP{{Bridge: "vxl0", Peers: peers, Zone: &spec.Zone{}}}}
	for name, c := range map[string]struct {
		rules, rules6 string
		want          *spec.Host
		steps         []string
	}{
		"there":           {one + ufwPeer, ufwPeer6, routed, nil},
		"none yet":        {one, "", routed, []string{"~ ufw"}},
		"one is missing":  {one + ufwPeer, "", routed, []string{"~ ufw"}},
		"not wanted":      {one + ufwPeer, ufwPeer6, &spec.Host{DHCPs: []spec.DHCP{{Bridge: "vxl0"}}}, []string{"~ ufw"}},
		"on one segment":  {one, "", &spec.Host{DHCPs: []spec.DHCP{{Bridge: "vxl0", Peers: peers}}}, nil},
		"all is unwanted": {one + ufwPeer, ufwPeer6, &spec.Host{}, []string{"- ufw"}},
	} {
		ufwAt(t, "/usr/sbin/ufw")
		if have := ufwSteps(t, ufwHost(t, "# x\nENABLED=yes\n", c.rules, c.rules6), c.want); !slices.Equal(have, c.steps) {
			t.Errorf("%s: want %q, have %q", name, c.steps, have)
		}
	}
	if have := ufwLets("10.0.11.1"); len(have) != 1 || strings.Join(have[0], " ") != "from 10.0.11.1 to any port 5356,5357 proto udp" {
		t.Errorf("told %q", have)
	}
}

// TestUFWIsTold: rules for what is wanted, and the removal of ours for what is not; nobody
// else's.
func TestUFWIsTold(t *testing.T) {
	k := ufwHost(t, "ENABLED=yes\n", ufwTuples)
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(filepath.Join(dir, "ufw"), []byte("#!/bin/sh\necho \"$@\" >>"+log+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ufwAt(t, filepath.Join(dir, "ufw"))
	if err := setUFW(t.Context(), k.Files, []string{"vxl0"}); err != nil {
		t.Fatal(err)
	}
	const want = `allow in on vxl0 to any port 53,67,547,5354,5357 proto udp comment flock:default
allow in on vxl0 to any port 53 proto tcp comment flock:default
delete allow in on vxl1 to any port 53,67,547,5354,5357 proto udp
delete allow in on vxl1 to any port 53 proto tcp
`
	if have, err := sysfile.ReadIfThere(log); err != nil || have != want {
		t.Errorf("told %q, %v", have, err)
	}
	if names, err := UFWFamily.Remains(k); err != nil || !slices.Equal(names, []string{"ufw vxl0", "ufw vxl0", "ufw vxl1"}) {
		t.Errorf("remains %q, %v", names, err)
	}
}

// TestUFWThatIsStopped: with its chains gone, it fails once its list is written, which counts.
func TestUFWThatIsStopped(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ufw"), []byte("#!/bin/sh\necho ERROR: problem running; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ufwAt(t, filepath.Join(dir, "ufw"))
	k := ufwHost(t, "ENABLED=yes\n", strings.Split(ufwTuples, "### tuple ### allow tcp 53 0.0.0.0/0 any 0.0.0.0/0 in_vxl1")[0])
	if err := setUFW(t.Context(), k.Files, []string{"vxl0"}); err != nil {
		t.Errorf("its list has the rules: %v", err)
	}
	if err := setUFW(t.Context(), k.Files, []string{"vxl0", "vxl1"}); err == nil || !strings.Contains(err.Error(), "problem running") {
		t.Errorf("its list lacks rules: %v", err)
	}
}
