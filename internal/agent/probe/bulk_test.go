//go:build linux

package probe

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestFlows: data goes there and back, both ends count it; strangers get nothing, and who does
// not listen is told from who does.
func TestFlows(t *testing.T) {
	t.Parallel()
	to, from, stranger := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	var l Listeners
	t.Cleanup(l.Close)
	ports := l.Listen([]netip.Addr{to, netip.MustParseAddr("192.0.2.1")}, []netip.Addr{from})
	if len(ports) != 2 || ports[0] == 0 || ports[1] != 0 {
		t.Fatalf("want a port at the own address alone, have %v", ports)
	}
	flows := []spec.Bulk{{From: from, To: to, Port: ports[0]}, {From: stranger, To: to, Port: ports[0]}, {From: from, To: stranger, Port: ports[0]}}
	got := Flows(t.Context(), flows)
	if f := got[0]; f.Bulk != flows[0] || !f.Open || !f.Whole || f.Out < bulkBlock || f.Back < bulkBlock || f.Took < spec.BulkTime {
		t.Errorf("have %+v", f)
	}
	if f := got[1]; f.Whole || f.Out != 0 || f.Back != 0 {
		t.Errorf("a stranger: %+v", f)
	}
	if f := got[2]; f.Open || f.Whole {
		t.Errorf("nobody listens: %+v", f)
	}
}

// TestBadSums: the kernel's counter, wherever it stands in the line.
func TestBadSums(t *testing.T) {
	t.Parallel()
	const text = "Ip: InReceives\nIp: 5\nTcp: RtoMin InErrs OutRsts InCsumErrors\nTcp: 200 1 2 34\nUdp: InCsumErrors\nUdp: 9\n"
	for snmp, want := range map[string]uint64{text: 34, "": 0, "Tcp: RtoMin\nTcp: 200\n": 0, "Tcp: InCsumErrors\n": 0, "Tcp: a InCsumErrors\nTcp: 1\n": 0} {
		if have := badSums(snmp); have != want {
			t.Errorf("want %d, have %d of %q", want, have, snmp)
		}
	}
}
