//go:build linux

// Package rtnl owns sockets of the kernel's routing netlink (rtnetlink(7)): one that
// takes many messages in one system call, and one that reports that something changed.
// It does not know what the messages are about: devices, addresses and routes belong to
// its callers.
package rtnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// MaxBatch is how many messages go into one system call: the answers to them
// must fit into the socket's receive buffer (212992 bytes by default, some 768
// per answer).
const MaxBatch = 100

// Conn writes to the kernel's routing netlink, many messages in one system call, and lists
// what a netlink.Handle lists at a higher price. It belongs to one goroutine, and to the
// network namespace of the thread that opened it.
type Conn struct {
	fd  int
	seq uint32
	buf []byte // one datagram; kept, because every answer comes as one
}

// Open returns a connection. Close it.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	// Old kernels know neither option; then answers are longer and say less.
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return nil, errors.Join(fmt.Errorf("set up netlink: %w", err), unix.Close(fd))
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind netlink: %w", err), unix.Close(fd))
	}
	return &Conn{fd: fd}, nil
}

// Close releases the socket.
func (r *Conn) Close() error { return unix.Close(r.fd) }

// PortID is the kernel's name for the socket: in news about what was changed by it
// stands nlmsg_pid.
func (r *Conn) PortID() (uint32, error) {
	addr, err := unix.Getsockname(r.fd)
	if err != nil {
		return 0, fmt.Errorf("name the netlink socket: %w", err)
	}
	nl, ok := addr.(*unix.SockaddrNetlink)
	if !ok {
		return 0, fmt.Errorf("name the netlink socket: it is a %T", addr)
	}
	return nl.Pid, nil
}

// Error is a refusal with the kernel's own words, where it has some.
type Error struct {
	errno syscall.Errno
	text  string
}

func (e *Error) Error() string {
	if e.text == "" {
		return e.errno.Error()
	}
	return e.text + " (" + e.errno.Error() + ")"
}

// Unwrap is the errno.
func (e *Error) Unwrap() error { return e.errno }

// Send sends at most MaxBatch messages in one system call, so that no end of
// this process comes between them, and returns one answer per message.
func (r *Conn) Send(messages ...*nl.NetlinkRequest) ([]error, error) {
	var b []byte
	first := r.seq + 1
	for i, m := range messages {
		r.seq++
		m.Seq = r.seq
		m.Flags |= unix.NLM_F_REQUEST
		if i == len(messages)-1 {
			// The kernel answers in order, and refusals always: the consent to the
			// last message says that all was said.
			m.Flags |= unix.NLM_F_ACK
		}
		b = append(b, m.Serialize()...)
		for len(b)%unix.NLMSG_ALIGNTO != 0 {
			b = append(b, 0)
		}
	}
	if err := retry(func() error {
		return unix.Sendto(r.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); err != nil {
		return nil, fmt.Errorf("write netlink: %w", err)
	}
	answers := make([]error, len(messages))
	for last := len(messages) == 0; !last; {
		var err error
		if last, err = r.receive(answers, first); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// Links returns what the kernel tells of all devices, or of what a family of sockets knows
// of them, one message without its header for each. Filter is IFLA_EXT_MASK (linux
// rtnetlink.h). Where something changed meanwhile, it asks again.
func (r *Conn) Links(family, filter int) ([][]byte, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(family))
	request.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(uint32(filter))))
	return r.list(request)
}

// List returns what the kernel tells of all objects that a message of a kind (RTM_GETADDR)
// asks for, and whose own messages begin with head bytes; as Links does.
func (r *Conn) List(kind, head int) ([][]byte, error) {
	request := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
	request.AddRawData(make([]byte, head))
	return r.list(request)
}

func (r *Conn) list(request *nl.NetlinkRequest) ([][]byte, error) {
	return Dump(func() ([][]byte, error) {
		r.seq++
		request.Seq = r.seq
		if err := unix.Sendto(r.fd, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, fmt.Errorf("write netlink: %w", err)
		}
		var out [][]byte
		for interrupted := false; ; {
			list, err := r.datagram()
			if err != nil {
				return nil, err
			}
			for _, m := range list {
				if m.Header.Seq != r.seq {
					continue // of a list that was given up
				}
				interrupted = interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
				if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE {
					out = append(out, bytes.Clone(m.Data))
					continue
				}
				if len(m.Data) >= 4 {
					err = answer(m)
				}
				if err == nil && interrupted {
					err = netlink.ErrDumpInterrupted
				}
				return out, err
			}
		}
	})
}

// datagram takes in one datagram of the kernel's. Its messages hold until the next.
func (r *Conn) datagram() ([]syscall.NetlinkMessage, error) {
	if r.buf == nil {
		r.buf = make([]byte, 1<<15)
	}
	var n int
	if err := retry(func() (err error) { n, _, err = unix.Recvfrom(r.fd, r.buf, 0); return err }); err != nil {
		return nil, fmt.Errorf("read netlink: %w", err)
	}
	list, err := syscall.ParseNetlinkMessage(r.buf[:n])
	if err != nil {
		return nil, fmt.Errorf("parse netlink: %w", err)
	}
	return list, nil
}

// receive takes in one datagram of answers to the messages from first on, and says
// whether the last one's was in it.
func (r *Conn) receive(answers []error, first uint32) (last bool, err error) {
	list, err := r.datagram()
	if err != nil {
		return false, err
	}
	for _, m := range list {
		i := int(int64(m.Header.Seq) - int64(first))
		if m.Header.Type != unix.NLMSG_ERROR || i < 0 || i >= len(answers) || len(m.Data) < 4 {
			continue
		}
		answers[i] = answer(m)
		last = last || i == len(answers)-1
	}
	return last, nil
}

// answer decodes an NLMSG_ERROR: errno 0 is consent.
func answer(m syscall.NetlinkMessage) error {
	errno := -int32(binary.NativeEndian.Uint32(m.Data))
	if errno == 0 {
		return nil
	}
	e := &Error{errno: syscall.Errno(errno)}
	const attrMsg = 1 // NLMSGERR_ATTR_MSG
	rest := m.Data[4:]
	if m.Header.Flags&unix.NLM_F_ACK_TLVS == 0 || len(rest) < unix.NLMSG_HDRLEN {
		return e
	}
	skip := unix.NLMSG_HDRLEN
	if m.Header.Flags&unix.NLM_F_CAPPED == 0 {
		skip = int(binary.NativeEndian.Uint32(rest)) // the message it answers, in full
	}
	if skip > len(rest) {
		return e
	}
	attrs, err := nl.ParseRouteAttr(rest[skip:])
	if err != nil {
		return e
	}
	for _, a := range attrs {
		if a.Attr.Type == attrMsg {
			e.text = string(bytes.TrimRight(a.Value, "\x00."))
		}
	}
	return e
}

// Do sends messages that stand or fall together and returns the first refusal.
func (r *Conn) Do(messages ...*nl.NetlinkRequest) error {
	answers, err := r.Send(messages...)
	if err != nil {
		return err
	}
	for _, err := range answers {
		if err != nil {
			return err
		}
	}
	return nil
}

// retry repeats what a signal or a change during a dump cut short: a dump that was
// interrupted may lack entries or hold one twice (netlink(7), NLM_F_DUMP_INTR).
// Every dump and every raw call goes through here.
func retry(do func() error) error {
	const most = 50
	var err error
	for range most {
		err = do()
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
	return err
}

// Dump is retry for calls with a result.
func Dump[T any](list func() ([]T, error)) ([]T, error) {
	var out []T
	err := retry(func() (err error) { out, err = list(); return err })
	return out, err
}

// Put adds an attribute to m. As a part of those who call it, it would be in the program once
// for each.
//
//go:noinline
func Put(m *nl.NetlinkRequest, kind int, value []byte) { m.AddData(nl.NewRtAttr(kind, value)) }

// Nest is Put for an attribute within another one.
//
//go:noinline
func Nest(a *nl.RtAttr, kind int, value []byte) *nl.RtAttr { return a.AddRtAttr(kind, value) }
