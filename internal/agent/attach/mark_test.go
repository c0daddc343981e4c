//go:build linux

package attach

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestMarksAreReadBack: what a mark says of now and of before is read from it again, and the
// longest of all names fit into it, with the bridge and MAC of before.
func TestMarksAreReadBack(t *testing.T) {
	a := spec.Attachment{Network: "vx1", Container: "lxc/c1", Interface: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.4.200/24")}}
	was := former{
		bridge: "docker0", mac: "02:42:ac:11:00:02", addrs: []netip.Prefix{netip.MustParsePrefix("172.17.0.2/16")},
		gateways: []netip.Addr{netip.MustParseAddr("172.17.0.1")},
	}
	longest := a
	longest.Network, longest.Container, longest.Interface = strings.Repeat("n", spec.NameMax), "lxc/"+strings.Repeat("c", 64), strings.Repeat("i", spec.IfNameMax)
	longest.Addrs = []netip.Prefix{netip.MustParsePrefix("100.100.100.200/24"), netip.MustParsePrefix("fd00:1111:2222:3333:4444:5555:6666:7777/120")}
	for name, test := range map[string]struct {
		a   spec.Attachment
		was *former
	}{"made": {a, nil}, "moved": {a, &was}, "moved, without addresses": {a, &former{bridge: "lxcbr0", mac: was.mac}}, "from no bridge": {a, &former{mac: was.mac}}} {
		text := attachedAlias("c", test.a)
		if test.was != nil {
			text = movedAlias("c", test.a, test.was)
		}
		got, m := readMark(strings.TrimPrefix(text, "flock:c/"))
		if got.Object() != test.a.Object() || got.Network != test.a.Network || m.given != "10.0.4.200/24" || !reflect.DeepEqual(m.was, test.was) || got.Moved != (test.was != nil) {
			t.Errorf("%s: %q is read as %+v, %+v", name, text, got, m)
		}
	}
	text := movedAlias(strings.Repeat("c", spec.NameMax), longest, &was)
	_, m := readMark(strings.TrimPrefix(text, spec.AliasPrefix+strings.Repeat("c", spec.NameMax)+"/"))
	if len(text) > aliasMax || m.was == nil || m.was.bridge != was.bridge {
		t.Errorf("the kernel does not take %d bytes, or the bridge is not in it: %s", len(text), text)
	}
}
