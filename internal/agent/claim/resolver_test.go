//go:build linux

package claim

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestResolversOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# nameserver 192.0.2.1\nsearch x\nnameserver 10.0.11.53\nnameserver 127.0.0.53\n nameserver\tfe80::1%eth0 # x\nnameserver\nnameserver x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []netip.Addr{netip.MustParseAddr("10.0.11.53"), netip.MustParseAddr("fe80::1")}
	if have := resolversOf([]string{path + ".none", path}); !slices.Equal(have, want) {
		t.Errorf("want %v, have %v", want, have)
	}
}
