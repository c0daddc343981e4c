//go:build linux

package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/sysctl"
	"github.com/flocknet/flock/internal/spec"
)

func TestServerWithoutIPv6NeedsNoneOfItsSettings(t *testing.T) {
	list := []spec.Sysctl{
		{Key: sysctl.ForwardingIPv4, Value: "1"},
		{Key: "net/ipv4/conf/vxl0/arp_announce", Value: "1", Link: "vxl0"},
		{Key: "net/ipv6/conf/vxl0/accept_ra", Value: "0", Link: "vxl0"},
		{Key: sysctl.ForwardingIPv6, Value: "1"},
	}
	var have []string
	for _, s := range withoutIPv6(list) {
		have = append(have, s.Key)
	}
	if want := "net/ipv4/ip_forward net/ipv4/conf/vxl0/arp_announce " + sysctl.ForwardingIPv6; strings.Join(have, " ") != want {
		t.Fatalf("want %s, have %s", want, have)
	}
}

// The last file of a name that sorts last has its way, however it writes the key; what no file
// names is left out.
func TestAtBoot(t *testing.T) {
	etc, lib := filepath.Join(t.TempDir(), "sysctl.d"), filepath.Join(t.TempDir(), "sysctl.d")
	for path, text := range map[string]string{
		etc + "/10-on.conf": "net.ipv4.ip_forward = 1", etc + "/90-off.conf": "-net/ipv4/conf/all/forwarding=0\n", lib + "/50-on.conf": "net.ipv4.ip_forward=1\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	k := &host.Host{Files: host.FilesAt("default", host.Paths{Sysctls: []string{etc, lib}})}
	have, err := AtBoot(k, []string{sysctl.ForwardingIPv4, "net/ipv4/tcp_syncookies"})
	if want := []spec.AtBoot{{Key: sysctl.ForwardingIPv4, Value: "0", Path: etc + "/90-off.conf"}}; err != nil || !slices.Equal(have, want) {
		t.Errorf("want %+v, have %+v, %v", want, have, err)
	}
}
