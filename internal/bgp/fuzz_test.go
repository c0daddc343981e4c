//go:build linux

package bgp

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// FuzzMessages: GoBGP's daemon takes what its parser says for granted: no panic, and
// no error but its own. One of an UPDATE comes with a message, of which the rest may
// be used.
func FuzzMessages(f *testing.F) {
	for _, list := range []map[string][]byte{malformed(true), opens()} {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			if b := list[name]; len(b) > bgp.BGP_HEADER_LENGTH {
				f.Add(b[18], b[bgp.BGP_HEADER_LENGTH:])
			}
		}
	}
	f.Add(byte(2), update(attributes, []byte{24, 172, 20, 0})[bgp.BGP_HEADER_LENGTH:])
	families := map[bgp.Family]bgp.BGPAddPathMode{bgp.RF_IPv4_UC: 0, bgp.RF_IPv6_UC: 0}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if len(body) > 4077 {
			return
		}
		h := &bgp.BGPHeader{Len: uint16(bgp.BGP_HEADER_LENGTH + len(body)), Type: kind}
		m, err := bgp.ParseBGPBody(h, body)
		var failure *bgp.MessageError
		if err != nil && !errors.As(err, &failure) {
			t.Fatalf("parse: a %T: %v", err, err)
		}
		if m == nil || m.Header.Type != bgp.BGP_MSG_UPDATE {
			return
		}
		u := m.Body.(*bgp.BGPUpdate)
		if failure != nil {
			return
		}
		if ok, err := bgp.ValidateUpdateMsg(u, families, true, false, false); !ok && !errors.As(err, &failure) {
			t.Fatalf("validate: a %T: %v", err, err)
		}
	})
}
