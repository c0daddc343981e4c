//go:build linux

package probe

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/arp"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

const (
	captureRoom  = 16 << 20 // bytes of the kernel's for what nobody has fetched yet
	captureBatch = 1 << 20  // bytes of an answer, about
	captureMost  = 256 << 10
)

// Capture takes packets of a device, in and out, from when it is opened.
type Capture struct {
	fd       int
	port     int // a TAP device on a bridge; -1: none
	ethernet bool
	all      bool // frames that are for others, too
	lost     int
	gone     error  // why nothing more comes; what is queued does
	room     []byte // for one packet
}

// OpenCapture begins to take packets of r's device. On a bridge it sees frames that pass it on
// their way to others, too, unless r is about the server's own: it is promiscuous until Close.
func OpenCapture(r *spec.CaptureRequest) (*Capture, error) {
	c, name := &Capture{fd: -1, port: -1, ethernet: true}, r.Device
	if r.Bridge != "" {
		var err error
		if name, err = c.plug(r.Bridge); err != nil {
			c.Close()
			return nil, err
		}
	}
	dev, err := netlink.LinkByName(name)
	if err != nil {
		c.Close()
		return nil, hint.Errorf(name, "flock apply", "there is no device %s", name)
	}
	at := &unix.SockaddrLinklayer{Ifindex: dev.Attrs().Index} // without a protocol nothing comes yet
	if err := c.open(unix.SOCK_RAW, at); err != nil {
		return nil, err
	}
	own, err := unix.Getsockname(c.fd)
	if link, ok := own.(*unix.SockaddrLinklayer); err == nil && ok {
		c.ethernet = link.Hatype == unix.ARPHRD_ETHER || link.Hatype == unix.ARPHRD_LOOPBACK
	}
	program := r.Frames
	if !c.ethernet {
		// Of what is before an IP header, if anything, drivers have different ideas.
		c.Close()
		if err := c.open(unix.SOCK_DGRAM, at); err != nil {
			return nil, err
		}
		program = r.Packets
	}
	c.all = r.Bridge != "" || dev.Type() == spec.Bridge && !r.Mine
	if err := c.begin(program, at); err != nil {
		c.Close()
		return nil, fmt.Errorf("take packets of %s: %w", r.Device, err)
	}
	return c, nil
}

func (c *Capture) open(sort int, at unix.Sockaddr) (err error) {
	if c.fd, err = unix.Socket(unix.AF_PACKET, sort|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err == nil {
		if err = unix.Bind(c.fd, at); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	return nil
}

func (c *Capture) begin(program []uint64, at *unix.SockaddrLinklayer) error {
	if len(program) == 0 {
		return errors.New("there is no filter")
	}
	filter := make([]unix.SockFilter, len(program))
	for i, n := range program {
		filter[i] = unix.SockFilter{Code: uint16(n >> 48), Jt: uint8(n >> 40), Jf: uint8(n >> 32), K: uint32(n)} //nolint:gosec // parts of a number
	}
	err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}) //nolint:gosec // 4096 at most
	if err == nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureRoom) // less loses some, which is counted
		err = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		err = unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
	}
	if err == nil && c.all {
		all := unix.PacketMreq{Ifindex: int32(at.Ifindex), Type: unix.PACKET_MR_PROMISC} //nolint:gosec // an index
		err = unix.SetsockoptPacketMreq(c.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &all)
	}
	if err == nil {
		err = unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: arp.BigEndian(unix.ETH_P_ALL), Ifindex: at.Ifindex})
	}
	c.room = make([]byte, captureMost)
	return err
}

// Close ends the capture.
func (c *Capture) Close() {
	if c == nil {
		return
	}
	for _, fd := range []*int{&c.fd, &c.port} {
		if *fd >= 0 {
			unix.Close(*fd) //nolint:errcheck // nothing is lost
			*fd = -1
		}
	}
}

// Read gathers packets for a while, or until an answer is full.
func (c *Capture) Read(ctx context.Context, within time.Duration) (*spec.CaptureReply, error) {
	out, end := &spec.CaptureReply{Ethernet: c.ethernet}, time.Now().Add(within)
	var data []byte
	for {
		// What is stamped before this is in the socket already.
		now := time.Now()
		out.Until = now.UnixNano()
		var last int64
		full := false
		for !full {
			before := len(data)
			var err error
			if data, err = c.take(data); errors.Is(err, unix.EAGAIN) {
				break
			} else if err != nil && c.gone != nil {
				return nil, err
			} else if err != nil { // the device went down, or is gone
				c.gone = err
			}
			if len(data) > before {
				last = int64(binary.BigEndian.Uint64(data[before:])) //nolint:gosec // a time
			}
			full = len(data) >= captureBatch
		}
		if full {
			out.Until = min(out.Until, last)
		}
		if c.gone != nil && len(data) == 0 {
			return nil, c.gone
		}
		if full || c.gone != nil || !now.Before(end) {
			break
		}
		if _, err := awaitAny(ctx, []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, end); err != nil { //nolint:gosec // a descriptor
			return nil, err
		}
	}
	// Reading them sets the kernel's counters to zero.
	if n, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		c.lost += int(n.Drops)
	}
	out.Lost, out.Data = c.lost, base64.StdEncoding.EncodeToString(data)
	return out, nil
}

// take adds a packet to data, if it is one to be seen. The error is EAGAIN when there is none.
func (c *Capture) take(data []byte) ([]byte, error) {
	control := make([]byte, 256)
	n, size, _, from, err := unix.Recvmsg(c.fd, c.room, control, unix.MSG_DONTWAIT)
	link, _ := from.(*unix.SockaddrLinklayer)
	if err == unix.EINTR || err == nil && !c.all && link != nil && link.Pkttype == unix.PACKET_OTHERHOST {
		return data, nil
	}
	if err != nil {
		return data, err
	}
	at, length, tag, flags := time.Now().UnixNano(), uint32(n), uint16(0), uint16(0) //nolint:gosec // captureMost at most
	if link != nil && link.Pkttype == unix.PACKET_OUTGOING {
		flags |= spec.CaptureOut
	}
	// Each message has its length in 8 bytes, level and type in 4 each (struct cmsghdr).
	for rest := control[:size]; len(rest) >= unix.CmsgLen(0); {
		end := int(min(binary.NativeEndian.Uint64(rest), uint64(len(rest)))) //nolint:gosec // 256 at most
		if end < unix.CmsgLen(0) {
			break
		}
		body := rest[unix.CmsgLen(0):end]
		switch level, sort := binary.NativeEndian.Uint32(rest[8:]), binary.NativeEndian.Uint32(rest[12:]); {
		case level == unix.SOL_SOCKET && sort == unix.SCM_TIMESTAMPNS && len(body) >= 16: // struct timespec
			at = int64(binary.NativeEndian.Uint64(body)*1e9 + binary.NativeEndian.Uint64(body[8:])) //nolint:gosec // a time
		case level == unix.SOL_PACKET && sort == unix.PACKET_AUXDATA && len(body) >= 20: // struct tpacket_auxdata
			length = binary.NativeEndian.Uint32(body[4:])
			if binary.NativeEndian.Uint32(body)&unix.TP_STATUS_VLAN_VALID != 0 {
				tag, flags = binary.NativeEndian.Uint16(body[16:]), flags|spec.CaptureVLAN
				if binary.NativeEndian.Uint16(body[18:]) == unix.ETH_P_8021AD {
					flags |= spec.CaptureService
				}
			}
		}
		rest = rest[min(len(rest), unix.CmsgSpace(len(body))):]
	}
	data = binary.BigEndian.AppendUint64(data, uint64(at)) //nolint:gosec // a time
	data = binary.BigEndian.AppendUint32(data, length)
	data = binary.BigEndian.AppendUint32(data, uint32(n)) //nolint:gosec // captureMost at most
	data = binary.BigEndian.AppendUint16(data, tag)
	data = binary.BigEndian.AppendUint16(data, flags)
	return append(data, c.room[:n]...), nil
}
