//go:build linux

package dropin

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

func TestUnmanagedOnlyWhereDaemonsRun(t *testing.T) {
	dir := t.TempDir()
	s := host.FilesAt("test", host.Paths{
		Lib: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run"), Units: filepath.Join(dir, "units"),
		Network: filepath.Join(dir, "network"), NM: filepath.Join(dir, "nm", "conf.d"),
		Systemd: filepath.Join(dir, "systemd"), Netif: filepath.Join(dir, "netif"), NMRun: filepath.Join(dir, "nmrun"),
	})
	ctx := context.Background()
	u := spec.Unmanage{Links: []string{"vxl0", "vxl0-vx"}}
	want := &spec.Host{Unmanaged: []spec.Unmanage{u}}
	see := func(want *spec.Host) string {
		t.Helper()
		have := &spec.Host{}
		var err error
		if have.Unmanaged, err = observeDropIns(s, networkDaemons(s), want.Unmanaged); err != nil {
			t.Fatal(err)
		}
		return have.Text()
	}
	if err := setDropIns(ctx, s, networkDaemons(s), u); err != nil {
		t.Fatal(err)
	}
	if remains, err := dropInRemains(s); err != nil || len(remains) != 0 || see(want) != want.Text() {
		t.Errorf("without network daemons: there is %q, %v, have %q", remains, err, see(want))
	}

	for _, dir := range []string{s.Paths.Netif, s.Paths.NMRun, s.Paths.NM} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if have := see(want); have != "" {
		t.Errorf("with network daemons: have %q", have)
	}
	if err := setDropIns(ctx, s, networkDaemons(s), u); err != nil {
		t.Fatal(err)
	}
	if remains, err := dropInRemains(s); err != nil || len(remains) != 2 || see(want) != want.Text() {
		t.Errorf("after set: there is %q, %v, have %q", remains, err, see(want))
	}
	if have := see(&spec.Host{}); have != want.Text() {
		t.Errorf("when nothing is wanted: have %q", have)
	}
	if other := (&spec.Host{Unmanaged: []spec.Unmanage{{Links: []string{"vxl1"}}}}); see(other) != want.Text() {
		t.Errorf("when something else is wanted: have %q", see(other))
	}
	for _, path := range dropIns(s) {
		if err := os.WriteFile(path, []byte("# flock: test\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if see(want) == want.Text() {
			t.Errorf("nothing is seen of the damage to %s", filepath.Base(path))
		}
		if err := setDropIns(ctx, s, networkDaemons(s), u); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeDropIns(ctx, s, networkDaemons(s)); err != nil {
		t.Fatal(err)
	}
	if remains, err := dropInRemains(s); err != nil || len(remains) != 0 {
		t.Errorf("after removal: there is %q, %v", remains, err)
	}
}
