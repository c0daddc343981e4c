//go:build linux

package udptun

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// mostSegments is how many datagrams one send may hold (linux 4.18:
	// UDP_MAX_SEGMENTS).
	mostSegments = 64
	mostBytes    = 65000 // in one send, below IPv4's most
	solUDP       = 17
	buffered     = 7 << 20 // bytes in the kernel, each way
)

// batchConn is the part of ipv4.PacketConn and ipv6.PacketConn that batches take.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// socket is a UDP socket that takes and gives many datagrams in a call.
type socket struct {
	udp   *net.UDPConn
	batch batchConn
	// segments says that the kernel cuts what is sent into datagrams (UDP_SEGMENT):
	// one way through the stack for many of them.
	segments atomic.Bool
	single   [1]ipv4.Message // scratch of send
	one      [1][]byte
}

// listen opens the socket of c. An address that is not there yet will do: packets
// pass once it is.
func listen(ctx context.Context, local netip.Addr, port uint16) (*socket, error) {
	s := &socket{}
	network, level, free := "udp4", unix.IPPROTO_IP, unix.IP_FREEBIND
	if local.Is6() {
		network, level, free = "udp6", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), level, free, 1)
			// What follows makes it faster where it can be had.
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffered)
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffered)
			_ = unix.SetsockoptInt(int(fd), solUDP, unix.UDP_GRO, 1)
			_, err := unix.GetsockoptInt(int(fd), solUDP, unix.UDP_SEGMENT)
			s.segments.Store(err == nil)
		})
		return errors.Join(err, failed)
	}}
	c, err := config.ListenPacket(ctx, network, netip.AddrPortFrom(local, port).String())
	if err != nil {
		return nil, fmt.Errorf("listen on UDP port %d of %s: %w", port, local, err)
	}
	s.udp = c.(*net.UDPConn)
	s.batch = ipv4.NewPacketConn(s.udp)
	if local.Is6() {
		s.batch = ipv6.NewPacketConn(s.udp)
	}
	return s, nil
}

func (s *socket) close() error {
	if s == nil {
		return nil
	}
	return s.udp.Close()
}

// send sends messages of one or more datagrams and returns how many of these the
// kernel did not take. It belongs to one goroutine.
func (s *socket) send(list []ipv4.Message) (lost int) {
	for len(list) > 0 {
		n, err := s.batch.WriteBatch(list, 0)
		list = list[max(n, 0):]
		if err == nil || len(list) == 0 {
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return lost + datagrams(list)
		}
		if errors.Is(err, unix.EIO) { // the device below sums up no checksums
			s.segments.Store(false)
		}
		lost += s.sendSingly(list[0])
		list = list[1:]
	}
	return lost
}

// sendSingly sends the datagrams of a message one by one: one that is too long for
// the path is cut into fragments then.
func (s *socket) sendSingly(m ipv4.Message) (lost int) {
	for _, packet := range m.Buffers {
		s.one[0] = packet
		s.single[0] = ipv4.Message{Buffers: s.one[:], Addr: m.Addr}
		if n, err := s.batch.WriteBatch(s.single[:], 0); err != nil || n == 0 {
			lost++
		}
	}
	return lost
}

func datagrams(list []ipv4.Message) (n int) {
	for _, m := range list {
		n += len(m.Buffers)
	}
	return n
}

// segmentControl writes the control message that cuts a send into datagrams of size
// bytes, the last one aside (cmsg(3), udp(7)).
func segmentControl(oob []byte, size int) []byte {
	oob = oob[:unix.CmsgSpace(2)]
	clear(oob)
	at := 8 // cmsg_len is a size_t
	if unix.SizeofCmsghdr == 12 {
		at = 4
		binary.NativeEndian.PutUint32(oob, uint32(unix.CmsgLen(2)))
	} else {
		binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(2)))
	}
	binary.NativeEndian.PutUint32(oob[at:], solUDP)
	binary.NativeEndian.PutUint32(oob[at+4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(oob[unix.CmsgLen(0):], uint16(size))
	return oob
}

// segmentSize is the length of the datagrams that the kernel put together in one
// read; whole if there is but one.
func segmentSize(oob []byte, whole int) int {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return whole
	}
	for _, m := range list {
		if m.Header.Level == solUDP && m.Header.Type == unix.UDP_GRO && len(m.Data) >= 4 {
			if size := int(binary.NativeEndian.Uint32(m.Data)); size > 0 {
				return size
			}
		}
	}
	return whole
}
