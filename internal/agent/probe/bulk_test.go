//go:build linux

package probe

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestSlowLinesStallNothing: the count comes when the other end has taken all, which lasts
// longer than patience does as long as some of it moves.
func TestSlowLinesStallNothing(t *testing.T) {
	t.Parallel()
	// What is not taken waits at the sender, as on a slow line: connections have the buffer of
	// who listens.
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<14) }), err)
	}}
	l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	slow := make(chan error, 1)
	go func() { slow <- takeSlowly(l, bulkPatience+time.Second) }()
	at := portOf(l.Addr())
	got := Flows(t.Context(), []spec.Bulk{{From: at.Addr(), To: at.Addr(), Port: int(at.Port())}})
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	if !got[0].Whole || got[0].Out == 0 {
		t.Errorf("have %+v", got[0])
	}
}

// takeSlowly takes what comes a little at a time, for that long at least, then the rest, and
// answers with how much it was.
func takeSlowly(l net.Listener, lasts time.Duration) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	n, block := int64(0), make([]byte, 1<<12)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(lasts); time.Now().Before(end); <-tick.C {
		k, err := c.Read(block)
		if n += int64(k); err != nil {
			return err
		}
	}
	rest, err := io.Copy(io.Discard, c)
	if err != nil {
		return err
	}
	_, err = c.Write(binary.BigEndian.AppendUint64(nil, uint64(n+rest))) //nolint:gosec // a count
	return err
}
