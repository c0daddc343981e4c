package names

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// What another server sent is read, not copied.
func TestLeasesInTakesLeasesOnly(t *testing.T) {
	const text = `1795300449 02:63:88:29:df:d9 10.0.4.16 c1 01:02:63:88:29:df:d9
1795300449 02:63:88:29:df:da 10.0.5.16 elsewhere *
1795300449 02:63:88:29:df:db 10.0.4.250 above *
soon 02:63:88:29:df:dc 10.0.4.17 c2 *
1795300449 mac 10.0.4.18 c3 *
1795300449 02:63:88:29:df:dd 10.0.4.19 c4
duid x
duid 00:01:00:01
1795300449 1234 fd00:6::77 c5 00:01
1795300449 T1235 fd00:6::78 * 00:02
1795300449 1236 fd00:7::78 elsewhere 00:02
1795300449 x fd00:6::79 c6 00:03
1795300449 1237 fd00:6::7a c6 *
`
	const want = "1795300449 02:63:88:29:df:d9 10.0.4.16 c1 01:02:63:88:29:df:d9\n" +
		"duid 00:01:00:01\n1795300449 1234 fd00:6::77 c5 00:01\n1795300449 T1235 fd00:6::78 * 00:02\n"
	ranges := []spec.Range{{
		First: netip.MustParseAddr("10.0.4.2"), Last: netip.MustParseAddr("10.0.4.190"),
	}, {First: netip.MustParseAddr("fd00:6::2"), Last: netip.MustParseAddr("fd00:6::bfff")}}
	if have := LeasesIn(text, ranges); want != have {
		t.Errorf("want %q, have %q", want, have)
	}
}
