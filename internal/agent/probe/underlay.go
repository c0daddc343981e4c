//go:build linux

package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/arp"
	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/spec"
)

// What passes below all networks is found out with packets that look like theirs from outside:
// UDP to their ports, IP in IP, GRE, multicast. A packet socket sees what arrives, before any
// packet filter does; what gets past the filter comes out of the socket for it, too.

const (
	underlayMark   = "\xf1ock\x00way" // of the probing's packets, before the run and the number
	underlaySize   = 121              // bytes after the IP header: by this the kernel picks them out
	underlayTimes  = 3
	underlayEvery  = 100 * time.Millisecond
	underlayWithin = time.Second // for the last of them
)

// Underlay is a probing: its sockets hold what came until it is read.
type Underlay struct {
	run     uint32
	own     netip.Addr
	sends   map[int]int // sockets by protocol
	arrives int         // the packet socket
	hears   []int
	taken   map[string]string
	came    map[int]*spec.UnderlayArrival // by number; sorting uint32 takes 5 KB of the agent
}

// OpenUnderlay opens the sockets that r asks for. Close closes them.
func OpenUnderlay(r *spec.UnderlayRequest) (*Underlay, error) {
	u := &Underlay{run: r.Run, own: r.Own, sends: map[int]int{}, arrives: -1, taken: map[string]string{}, came: map[int]*spec.UnderlayArrival{}}
	err := u.open(r)
	if err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

func (u *Underlay) open(r *spec.UnderlayRequest) (err error) {
	if u.arrives, err = openPackets(arrivalsFilter()); err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	for _, port := range r.Ports {
		fd, err := u.bound(unix.SOCK_DGRAM, 0, port)
		if errors.Is(err, unix.EADDRINUSE) {
			at := netip.AddrPortFrom(unspecified(u.own), uint16(port)) //nolint:gosec // a port
			name, _ := socket.Listener{At: at}.Process()
			u.taken[strconv.Itoa(port)] = cmp.Or(name, "the kernel")
			continue
		}
		if err != nil {
			return fmt.Errorf("listen at UDP port %d: %w", port, err)
		}
		u.hears = append(u.hears, fd)
		if err := u.join(fd, r.Group); err != nil {
			return fmt.Errorf("join %s: %w", r.Group, err)
		}
	}
	for protocol, sort := range map[int]int{unix.IPPROTO_UDP: unix.SOCK_DGRAM, unix.IPPROTO_IPIP: unix.SOCK_RAW, unix.IPPROTO_GRE: unix.SOCK_RAW} {
		if u.sends[protocol], err = u.sender(sort, protocol); err != nil {
			return fmt.Errorf("open a socket at %s: %w", u.own, err)
		}
		if sort == unix.SOCK_RAW {
			u.hears = append(u.hears, u.sends[protocol])
		}
	}
	return nil
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// Of a packet filter's language (linux/filter.h).
const loadByte, loadHalf, and, equal, ret = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_LD | unix.BPF_H | unix.BPF_ABS,
	unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K

// arrivalsFilter lets IP packets of the probing's size pass, whatever they carry.
func arrivalsFilter() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: loadByte, K: 0},
		{Code: and, K: 0xf0},
		{Code: equal, K: 0x40, Jt: 0, Jf: 2},
		{Code: loadHalf, K: 2}, // IPv4: total length
		{Code: equal, K: 20 + underlaySize, Jt: 2, Jf: 3},
		{Code: loadHalf, K: 4}, // IPv6: payload length
		{Code: equal, K: underlaySize, Jt: 0, Jf: 1},
		{Code: ret, K: 1 << 16},
		{Code: ret, K: 0},
	}
}

// openPackets opens a packet socket that gets, from all devices, what a filter lets pass. It is
// bound when its filter is in place.
func openPackets(filter []unix.SockFilter) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}) //nolint:gosec // a hundred at most
	if err == nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, echoBuffer) // less loses some, which is seen
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp.BigEndian(unix.ETH_P_ALL)})
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing is lost
		return -1, err
	}
	return fd, nil
}

// bound is a socket at a port of all own addresses.
func (u *Underlay) bound(sort, protocol, port int) (int, error) {
	family, at := sockaddr(unspecified(u.own), port)
	return openAt(family, sort, protocol, at)
}

func openAt(family, sort, protocol int, at unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(family, sort|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, err
	}
	if family == unix.AF_INET6 && sort == unix.SOCK_DGRAM {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, echoBuffer)
	if err == nil {
		err = unix.Bind(fd, at)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing is lost
		return -1, err
	}
	return fd, nil
}

// sender is a socket at the own address.
func (u *Underlay) sender(sort, protocol int) (int, error) {
	family, at := sockaddr(u.own, 0)
	fd, err := openAt(family, sort, protocol, at)
	if err != nil {
		return -1, err
	}
	level, hops := unix.IPPROTO_IP, unix.IP_TTL
	if family == unix.AF_INET6 {
		level, hops = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	}
	err = unix.SetsockoptInt(fd, level, hops, spec.UnderlayTTL)
	if err == nil && family == unix.AF_INET && sort == unix.SOCK_DGRAM {
		err = unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, u.own.As4())
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing is lost
		return -1, err
	}
	return fd, nil
}

// join has fd hear a group on the device of the own address.
func (u *Underlay) join(fd int, group netip.Addr) error {
	if !group.Is4() || !u.own.Is4() {
		return nil
	}
	err := unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreq{Multiaddr: group.As4(), Interface: u.own.As4()})
	if errors.Is(err, unix.ENODEV) {
		return nil // a device that knows no multicast
	}
	return err
}

// Close ends the probing.
func (u *Underlay) Close() {
	if u == nil {
		return
	}
	if u.arrives >= 0 {
		unix.Close(u.arrives) //nolint:errcheck // nothing is lost
	}
	for _, fd := range u.hears {
		unix.Close(fd) //nolint:errcheck // nothing is lost
	}
	if fd, open := u.sends[unix.IPPROTO_UDP]; open && fd >= 0 {
		unix.Close(fd) //nolint:errcheck // nothing is lost
	}
}

// Taken are ports, in decimal, that somebody has here, and who.
func (u *Underlay) Taken() map[string]string { return u.taken }

// Send sends each of packets several times, and returns the numbers of those that this server's
// packet filter refuses.
func (u *Underlay) Send(ctx context.Context, packets []spec.UnderlayPacket) ([]uint32, error) {
	refused := map[uint32]bool{}
	for n := range underlayTimes {
		if n > 0 {
			select {
			case <-time.After(underlayEvery):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		for _, p := range packets {
			fd, known := u.sends[p.Protocol]
			if !known {
				return nil, fmt.Errorf("%d is none of the protocols that are tried", p.Protocol)
			}
			port := p.Port
			if p.Protocol != unix.IPPROTO_UDP {
				port = 0
			}
			_, to := sockaddr(p.To, port)
			// What cannot be sent is lost; only a refusal says where.
			if errors.Is(unix.Sendto(fd, u.packet(p), 0, to), unix.EPERM) {
				refused[p.Number] = true
			}
		}
	}
	var out []uint32
	for _, p := range packets {
		if refused[p.Number] {
			out = append(out, p.Number)
			delete(refused, p.Number)
		}
	}
	return out, nil
}

// packet is what follows p's IP header, and of UDP the UDP header. Whoever takes it for a
// network's drops it: a VXLAN header without an identifier, a GRE header of a protocol for
// experiments (IEEE 802, 0x88b5), an inner packet from loopback to loopback.
func (u *Underlay) packet(p spec.UnderlayPacket) []byte {
	b := make([]byte, 0, underlaySize)
	size := underlaySize
	switch p.Protocol {
	case unix.IPPROTO_UDP:
		size -= 8
	case unix.IPPROTO_GRE:
		b = append(b, 0, 0, 0x88, 0xb5)
	case unix.IPPROTO_IPIP:
		b = append(b, loopbackHeader()...)
	}
	if p.Protocol == unix.IPPROTO_UDP {
		b = append(b, make([]byte, 8)...) // of VXLAN, no flag is set
	}
	b = append(b, underlayMark...)
	b = binary.BigEndian.AppendUint32(b, u.run)
	b = binary.BigEndian.AppendUint32(b, p.Number)
	return append(b, make([]byte, size-len(b))...)
}

// loopbackHeader is the IPv4 header (RFC 791) of a packet that no server takes in from outside.
func loopbackHeader() []byte {
	const noNext = 59
	h := []byte{0x45, 0, 0, underlaySize, 0, 0, 0, 0, 1, noNext, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return h
}

// Came is what arrived so far, in order of number. It waits for what is under way.
func (u *Underlay) Came(ctx context.Context) ([]spec.UnderlayArrival, error) {
	fds := []unix.PollFd{{Fd: int32(u.arrives), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	for _, fd := range u.hears {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}) //nolint:gosec // a descriptor
	}
	for end, over := time.Now().Add(underlayWithin), false; !over; {
		var err error
		if over, err = awaitAny(ctx, fds, end); err != nil {
			return nil, err
		}
		for i := range fds {
			if fds[i].Revents != 0 {
				u.read(int(fds[i].Fd), i > 0)
			}
		}
	}
	out := make([]spec.UnderlayArrival, 0, len(u.came))
	for _, number := range slices.Sorted(maps.Keys(u.came)) { // sorting the arrivals themselves is 12 KB of the agent
		out = append(out, *u.came[number])
	}
	return out, nil
}

// read takes in what a socket has: the packet socket, or one that gets what is delivered.
func (u *Underlay) read(fd int, delivers bool) {
	p := make([]byte, 1<<11)
	for {
		n, from, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		number, ours := u.number(p[:n])
		link, _ := from.(*unix.SockaddrLinklayer)
		if !ours || !delivers && (link == nil || link.Pkttype == unix.PACKET_OUTGOING) {
			continue
		}
		a := u.came[int(number)]
		if a == nil {
			a = &spec.UnderlayArrival{Number: number}
			u.came[int(number)] = a
		}
		if a.Delivered = a.Delivered || delivers; !delivers {
			a.Source, a.TTL = origin(p[:n])
		}
	}
}

// number is that of a packet of this probing.
func (u *Underlay) number(p []byte) (uint32, bool) {
	at := bytes.Index(p, []byte(underlayMark))
	if at < 0 || len(p) < at+len(underlayMark)+8 {
		return 0, false
	}
	p = p[at+len(underlayMark):]
	return binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p) == u.run
}

// origin is the source of an IP packet of the probing's size, and the TTL or hop limit that is
// left.
func origin(p []byte) (netip.Addr, int) {
	if p[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(p[12:])), int(p[8])
	}
	return netip.AddrFrom16([16]byte(p[8:])), int(p[7])
}

// Routes are how packets leave this server towards each of to, as the kernel sends them by
// itself. Kinds are not filled in.
func Routes(to []netip.Addr) []spec.UnderlayRoute {
	device := map[netip.Addr]string{}
	list, _ := net.Interfaces()
	for _, l := range list {
		addrs, _ := l.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				device[p.Addr()] = l.Name
			}
		}
	}
	out := make([]spec.UnderlayRoute, len(to))
	for i, a := range to {
		out[i].Source = source(a)
		out[i].Device = device[out[i].Source]
	}
	return out
}

// source is the own address that packets to to have; invalid where there is no route.
func source(to netip.Addr) netip.Addr {
	family, at := sockaddr(to, discardPort)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was sent
	if unix.Connect(fd, at) != nil {
		return netip.Addr{}
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(name.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(name.Addr)
	}
	return netip.Addr{}
}
