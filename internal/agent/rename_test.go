//go:build linux

package agent

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// A device whose network has another name is renamed as it runs, with all that stands on it:
// the step is one, and nothing else is told.
func TestLinksAreRenamed(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	was := dualPool(true)
	apply(t, k, was)
	index := sh(t, "cat /proc/net/dev | grep -c n1-vx; ip -o link show n1-vx | cut -d: -f1")
	now := was.Renamed("n1-vx", "pods-vx")
	for i := range now.Links {
		now.Links[i].Network = "pods"
	}
	planned := plan(t, k, now)
	report := apply(t, k, now)
	if !spec.LiveRename(sh(t, "uname -r")) {
		anew(t, k, now, planned, stepText(report.Steps))
		return
	}
	for i, s := range report.Steps { // settings are asked of a device that is there
		if i == 0 && s.String() != "~ link pods-vx: name n1-vx -> pods-vx, network n1 -> pods" || i > 0 && !strings.HasPrefix(s.Object, "sysctl ") {
			t.Errorf("steps:\n%s", stepText(report.Steps))
		}
	}
	if have := sh(t, "cat /proc/net/dev | grep -c pods-vx; ip -o link show pods-vx | cut -d: -f1"); have != index {
		t.Errorf("it was made anew: index %s, then %s", index, have)
	}
	if routes := sh(t, "ip route show dev pods-vx"); !strings.Contains(routes, "10.244.1.0/24 via 10.244.1.0") {
		t.Errorf("routes:\n%s", routes)
	}
	// What differs otherwise is another device.
	other := now.Renamed("pods-vx", "n1-vx")
	other.Links[0].Network = "n1"
	tunnel := *other.Links[0].Tunnel
	tunnel.VNI = 2
	other.Links[0].Tunnel = &tunnel
	if have := stepText(apply(t, k, other).Steps); !strings.Contains(have, "- link pods-vx") || !strings.Contains(have, "+ link n1-vx") {
		t.Errorf("steps:\n%s", have)
	}
	apply(t, k, &spec.Host{Cluster: "t", Store: "s", Server: "s1"})
}

// anew holds what kernels before 6.2 do, which rename no device that is up: it is made under
// the new name with all that stands on it, as the plan says.
func anew(t *testing.T, k *Kernel, now *spec.Host, planned, done string) {
	t.Helper()
	if done != planned || !strings.Contains(done, "- link n1-vx\n") || !strings.Contains(done, "+ link pods-vx: ") || !strings.Contains(done, "+ route 10.244.1.0/24: ") {
		t.Errorf("planned:\n%s\ndone:\n%s", planned, done)
	}
	if have := plan(t, k, now); have != "" {
		t.Errorf("left to do:\n%s", have)
	}
	apply(t, k, &spec.Host{Cluster: "t", Store: "s", Server: "s1"})
}

// What others set on a device is taken back as it is renamed, and does not cost it.
func TestLinksWithExtrasAreRenamed(t *testing.T) {
	was := dualPool(true)
	now := was.Renamed("n1-vx", "pods-vx")
	have := *was
	have.Links = slices.Clone(was.Links)
	for i := range now.Links {
		now.Links[i].Network, have.Links[i].Extra = "pods", "arp off"
	}
	text := stepText(family.Steps(Diff(now, &have)))
	if !strings.Contains(text, "~ link pods-vx: name n1-vx -> pods-vx, extra arp off -> none") || strings.Contains(text, "- link") {
		t.Errorf("steps:\n%s", text)
	}
}

// What the kernel cannot rename is removed, and made under its new name.
func TestStiffLinksAreMadeAnew(t *testing.T) {
	was := dualPool(true)
	now := was.Renamed("n1-vx", "pods-vx")
	have := *was
	have.Links = slices.Clone(was.Links)
	for i := range now.Links {
		now.Links[i].Network, have.Links[i].Stiff = "pods", true
	}
	ops := Diff(now, &have)
	text := stepText(family.Steps(ops))
	if !strings.Contains(text, "- link n1-vx\n") || !strings.Contains(text, "+ link pods-vx: ") || strings.Contains(text, "name n1-vx") {
		t.Errorf("steps:\n%s", text)
	}
}
