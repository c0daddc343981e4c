//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// Bulk data shows what echoes do not: segments whose checksum is wrong, since a device
// does not do what it offers, and what only large numbers of packets break.
//
// Who connects sends for a time and closes its half; the other end answers with how much came,
// in eight bytes, and sends for the same time.

const (
	bulkPatience = 3 * time.Second // while nothing moves; then a connection is given up
	bulkBlock    = 64 << 10
)

// Listeners take in bulk data of other members.
type Listeners struct {
	list  []net.Listener
	admit map[netip.Addr]bool
}

// Close ends them; connections end by themselves.
func (l *Listeners) Close() {
	for _, at := range l.list {
		at.Close() //nolint:errcheck // nothing is lost
	}
}

// Listen opens a port at each of the addresses for those that are admitted. The ports are in
// the order of the addresses, 0 where nobody can listen.
func (l *Listeners) Listen(at, admit []netip.Addr) []int {
	l.admit = map[netip.Addr]bool{}
	for _, a := range admit {
		l.admit[a] = true
	}
	ports := make([]int, len(at))
	for i, a := range at {
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		if err != nil {
			continue
		}
		l.list = append(l.list, listener)
		ports[i] = int(portOf(listener.Addr()).Port())
		go l.accept(listener)
	}
	return ports
}

func portOf(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return tcp.AddrPort()
}

func (l *Listeners) accept(at net.Listener) {
	for {
		c, err := at.Accept()
		if err != nil {
			return
		}
		if l.admit[portOf(c.RemoteAddr()).Addr().Unmap()] {
			go receive(c)
		} else {
			c.Close() //nolint:errcheck // a stranger
		}
	}
}

// receive is the end that was connected to.
func receive(c net.Conn) {
	defer c.Close() //nolint:errcheck // the other end says what is wrong
	n, whole := drain(c)
	if !whole {
		return
	}
	head := binary.BigEndian.AppendUint64(nil, uint64(n)) //nolint:gosec // a count
	if _, err := c.Write(head); err == nil {
		pour(c)
	}
}

// pour sends data for a time; false: nothing of it was taken for as long as patience lasts.
func pour(c net.Conn) bool {
	block := make([]byte, bulkBlock)
	for end := time.Now().Add(spec.BulkTime); time.Now().Before(end); {
		if c.SetWriteDeadline(time.Now().Add(bulkPatience)) != nil {
			return false
		}
		if n, err := c.Write(block); err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return false
		}
	}
	return true
}

// drain reads until the other end closes its half, and says whether it did.
func drain(c net.Conn) (n int64, whole bool) {
	block := make([]byte, bulkBlock)
	for {
		if c.SetReadDeadline(time.Now().Add(bulkPatience)) != nil {
			return n, false
		}
		k, err := c.Read(block)
		n += int64(k)
		if err != nil {
			return n, err == io.EOF //nolint:errorlint // as Read has it
		}
	}
}

// Flows sends data on all flows at once.
func Flows(ctx context.Context, flows []spec.Bulk) []spec.Flowed {
	out := make([]spec.Flowed, len(flows))
	var all sync.WaitGroup
	for i, b := range flows {
		all.Go(func() { out[i] = flow(ctx, b) })
	}
	all.Wait()
	return out
}

func flow(ctx context.Context, b spec.Bulk) spec.Flowed {
	f := spec.Flowed{Bulk: b}
	d := net.Dialer{Timeout: bulkPatience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.From, 0))}
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(b.To, uint16(b.Port)).String()) //nolint:gosec // a port
	if err != nil {
		return f
	}
	defer context.AfterFunc(ctx, func() { c.Close() })() //nolint:errcheck // who waited is gone
	defer c.Close()                                      //nolint:errcheck // all was read
	f.Open = true
	begun := time.Now()
	half, ok := c.(*net.TCPConn)
	if !ok || !pour(c) || half.CloseWrite() != nil {
		return f
	}
	head := make([]byte, 8)
	if !counted(half, head) {
		return f
	}
	f.Out = int64(binary.BigEndian.Uint64(head)) //nolint:gosec // a count
	f.Back, f.Whole = drain(c)
	f.Took = time.Since(begun)
	return f
}

// counted waits for the other end's count. It has patience as long as what was sent still
// leaves the queue (tcp(7), SIOCOUTQ): on a slow line that takes longer than the sending did.
func counted(c *net.TCPConn, head []byte) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	queued := func() (n int) {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) //nolint:gosec // a descriptor
		return n
	}
	for got, before := 0, queued(); got < len(head); {
		if c.SetReadDeadline(time.Now().Add(bulkPatience)) != nil {
			return false
		}
		k, err := c.Read(head[got:])
		got += k
		now := queued()
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || now >= before) {
			return false
		}
		before = now
	}
	return true
}

// BadSums is how many TCP segments the kernel dropped for a wrong checksum; 0 where it does not
// count them.
func BadSums() uint64 {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0
	}
	return badSums(string(text))
}

// badSums finds the counter in two lines, of names and of numbers.
func badSums(snmp string) uint64 {
	var names []string
	for line := range strings.Lines(snmp) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if i := slices.Index(names, "InCsumErrors"); i > 0 && i < len(fields) {
			n, _ := strconv.ParseUint(fields[i], 10, 64) // the kernel's; 0 is none
			return n
		}
	}
	return 0
}
