//go:build linux

package claim

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLibvirtNetworks(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"default.xml": `<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
  <ip family='ipv6' address='fd44::1' prefix='64'/>
</network>`,
		"two.xml":  `<network><ip family="ipv4" address="10.70.1.9" prefix="23"/><ip address='none' prefix='24'/><ip address='10.1.1.1'/></network>`,
		"note.txt": `<ip address='10.71.0.1' prefix='24'/>`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := libvirtNetworks(dir)
	if want := []netip.Prefix{netip.MustParsePrefix("10.70.0.0/23"), netip.MustParsePrefix("192.168.122.0/24")}; err != nil || !slices.Equal(have, want) {
		t.Errorf("want %v, have %v, %v", want, have, err)
	}
	if have, err := libvirtNetworks(filepath.Join(dir, "none")); err != nil || have != nil {
		t.Errorf("without libvirt: %v, %v", have, err)
	}
}
