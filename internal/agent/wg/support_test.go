//go:build linux

package wg

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestModuleIsFoundWhereverItIs(t *testing.T) {
	for _, c := range []struct {
		file, text string
		want       bool
	}{
		{"kernel/drivers/net/wireguard/wireguard.ko", "", true},
		{"kernel/drivers/net/wireguard/wireguard.ko.xz", "", true},  // Debian 13
		{"kernel/drivers/net/wireguard/wireguard.ko.zst", "", true}, // Ubuntu, Arch
		{"kernel/drivers/net/wireguard/wireguard.ko.gz", "", true},
		{"modules.dep", "updates/dkms/wireguard.ko: kernel/net/ipv4/udp_tunnel.ko\n", true},
		{"modules.builtin", "kernel/drivers/net/wireguard/wireguard.ko\n", true},
		{"modules.dep", "kernel/drivers/net/wireguardian.ko:\n", false},
		{"kernel/drivers/net/wireguard/README", "", false},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, c.file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(c.text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if have, err := hasModule(dir); err != nil || have != c.want {
			t.Errorf("%s %q: %v, %v", c.file, c.text, have, err)
		}
	}
	if have, err := hasModule(filepath.Join(t.TempDir(), "none")); err != nil || have {
		t.Errorf("no modules at all: %v, %v", have, err)
	}
}
