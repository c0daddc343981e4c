//go:build linux

package probe

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// What the way of a packet looks like is asked in the kernel's own messages, which pass
// through here as they are: the workstation makes and reads them.

const (
	traceHead  = 192   // bytes of a packet that are told
	traceMost  = 512   // packets that are told at one time
	traceSlice = 20000 // microseconds, after which an end of the session is noticed
)

// decoded is what a text in base64 stands for, nothing where it is none.
func decoded(text string) []byte {
	out, _ := base64.StdEncoding.DecodeString(text)
	return out
}

// Ask puts a question to the kernel, in the network namespace of the thread: see
// spec.TraceReply.
func Ask(question string) (string, error) {
	m := decoded(question)
	if len(m) <= unix.SizeofNlMsghdr {
		return "", unix.EINVAL
	}
	kind, protocol := binary.NativeEndian.Uint16(m[4:]), unix.NETLINK_ROUTE
	// Of routing every fourth type only asks (RTM_GETLINK, …), of nftables every third.
	asks := kind >= unix.RTM_NEWLINK && kind&3 == unix.RTM_GETLINK&3
	if kind>>8 == unix.NFNL_SUBSYS_NFTABLES {
		protocol, asks = unix.NETLINK_NETFILTER, kind&0xff <= unix.NFT_MSG_GETSETELEM && kind&0xff%3 == unix.NFT_MSG_GETTABLE
	}
	if !asks {
		return "", unix.EINVAL
	}
	r := nl.NewNetlinkRequest(int(kind), int(binary.NativeEndian.Uint16(m[6:])))
	r.AddRawData(m[unix.SizeofNlMsghdr:])
	list, err := r.Execute(protocol, 0)
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return "!" + strconv.Itoa(int(errno)), nil
	}
	var out strings.Builder
	for _, one := range list {
		out.WriteString(base64.StdEncoding.EncodeToString(one) + " ")
	}
	return out.String(), nil // of a dump that was interrupted, what there was
}

// OpenTap opens a packet socket that gets, from all devices, what a filter lets pass: see
// spec.TraceRequest.
func OpenTap(program string) (int, error) {
	var filter []unix.SockFilter
	for b := decoded(program); len(b) >= 8; b = b[8:] {
		filter = append(filter, unix.SockFilter{Code: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:])})
	}
	if filter == nil {
		return -1, unix.EINVAL
	}
	fd, err := openPackets(filter)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: traceSlice})
	}
	return fd, err
}

// Hear hears for as long as r says, and returns what came to the socket since the last call.
func Hear(ctx context.Context, fd int, r *spec.TraceRequest) (seen []string) {
	p := make([]byte, 1<<12)
	for end := time.Now().Add(time.Duration(r.Wait) * time.Millisecond); ctx.Err() == nil && len(seen) < traceMost; {
		n, from, err := unix.Recvfrom(fd, p, 0)
		for _, m := range r.Marks {
			if link, _ := from.(*unix.SockaddrLinklayer); err == nil && bytes.Contains(p[:n], decoded(m)) {
				way := "<"
				if link.Pkttype == unix.PACKET_OUTGOING {
					way = ">"
				}
				seen = append(seen, strconv.Itoa(link.Ifindex)+way+base64.StdEncoding.EncodeToString(p[:min(n, traceHead)]))
				if m == r.Last {
					return seen
				}
				break
			}
		}
		if time.Now().After(end) {
			break
		}
	}
	return seen
}

// SendRaw sends the packet of r, in the network namespace of the thread.
func SendRaw(r *spec.TraceRequest) error {
	family, at := sockaddr(r.From, 0)
	fd, err := openAt(family, unix.SOCK_RAW, r.Protocol, at)
	if err != nil {
		return err
	}
	_, to := sockaddr(r.To, 0)
	err = unix.Sendto(fd, decoded(r.Data), 0, to)
	unix.Close(fd) //nolint:errcheck // nothing is lost
	return err
}
