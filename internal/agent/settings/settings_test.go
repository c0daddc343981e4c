//go:build linux

package settings

import (
	"strings"
	"testing"

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
