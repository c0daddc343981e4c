//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

const (
	echoTimes  = 5                      // requests on each way
	echoEvery  = 100 * time.Millisecond // on one way; all ways go at once
	echoWithin = time.Second            // for the last answer
	echoBuffer = 8 << 20                // bytes of a socket's packets on their way to and from us
	echoSize   = 84                     // bytes of IPv4 packet, as ping(8) sends; IPv6's is 20 longer
	// A packet that is too large is lost in silence on many ways, so that it takes time to
	// find that out: as long as four round trips, and no less than sizeWithin.
	sizeWithin = 200 * time.Millisecond
	sizeTries  = 2
	// What looks bad is looked at again, without the ways that are well, before it is called so:
	// a busy machine drops a packet of a hundred that arrive at once.
	againTimes = 40
	againEvery = 10 * time.Millisecond
)

// measure is a measurement: its sockets, what was sent, what was heard.
type measure struct {
	ways    []way
	sockets map[netip.Addr]int // by source address
	sent    []request          // by sequence number
	since   int                // the first of sent that is waited for
	left    int                // of those, how many nobody has answered yet
	counted int                // the first of sent whose round trip counts
	callers map[netip.Addr]bool
	id      uint16
}

// way is one Echo: what was heard on it, and between which sizes its MTU is.
type way struct {
	spec.Echoed
	trips     []int // nanoseconds, as what else is sorted: the compiler makes sorting once per type
	low, high int   // bytes: what passes, and what may; equal when it is found
}

// request is one ICMP echo request.
type request struct {
	way, size int // an index, bytes of IP packet
	at        time.Time
	answered  bool
}

// Measure sends echoes, so many times each (0: a few), and says what came back, and whose requests
// came in meanwhile. Only the first octets of a packet that is sent are not zero.
func Measure(ctx context.Context, echoes []spec.Echo, times int) ([]spec.Echoed, []netip.Addr, error) {
	m := &measure{sockets: map[netip.Addr]int{}, callers: map[netip.Addr]bool{}, id: uint16(os.Getpid())} //nolint:gosec // the lower half will do
	defer func() {
		for _, fd := range m.sockets {
			unix.Close(fd) //nolint:errcheck // nothing is lost
		}
	}()
	for _, e := range echoes {
		m.ways = append(m.ways, way{Echoed: spec.Echoed{Echo: e}})
		if _, open := m.sockets[e.From]; open {
			continue
		}
		fd, err := openRaw(e.From)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // a server that lost its address hears nothing
		}
		if err != nil {
			return nil, nil, fmt.Errorf("open a socket at %s: %w", e.From, err)
		}
		m.sockets[e.From] = fd
	}
	err := m.roundTrips(ctx, min(times, spec.EchoMost))
	if err == nil {
		err = m.sizes(ctx)
	}
	var out []spec.Echoed
	for _, w := range m.ways {
		out = append(out, w.Echoed)
	}
	callers := make([]netip.Addr, 0, len(m.callers))
	for a := range m.callers { // a hundred at most, and sorting them all at once is 4 KB of the agent
		i := 0
		for i < len(callers) && callers[i].Less(a) {
			i++
		}
		callers = slices.Insert(callers, i, a)
	}
	return out, callers, err
}

// openRaw opens a raw socket for ICMP at an own address. Its packets are never in pieces, and
// as large as the device takes, whatever the kernel has learned of the path (ip(7),
// IP_PMTUDISC_PROBE).
func openRaw(from netip.Addr) (int, error) {
	family, at := sockaddr(from, 0)
	proto, level, option := unix.IPPROTO_ICMP, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	if from.Is6() {
		proto, level, option = unix.IPPROTO_ICMPV6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	fd, err := openAt(family, unix.SOCK_RAW, proto, at)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, echoBuffer) // less loses some, which is seen
	err = unix.SetsockoptInt(fd, level, option, unix.IP_PMTUDISC_PROBE)
	if err == nil && from.Is6() {
		err = unix.SetsockoptInt(fd, level, unix.IPV6_DONTFRAG, 1)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // nothing is lost
		return -1, err
	}
	return fd, nil
}

// roundTrips sends requests on every way. Those that lose some get more, and what counts there is
// what the second look shows, unless it was asked for so many: then all that was lost counts.
func (m *measure) roundTrips(ctx context.Context, times int) error {
	var all, lossy []int
	every, counts := againEvery, times > 0
	if !counts {
		times, every = echoTimes, echoEvery
	}
	for i := range m.ways {
		all = append(all, i)
	}
	err := m.echoes(ctx, all, times, every)
	for i, w := range m.ways {
		if w.Heard < w.Sent {
			lossy = append(lossy, i)
		}
	}
	if err == nil && len(lossy) > 0 && !counts {
		err = m.echoes(ctx, lossy, againTimes, againEvery)
	}
	return err
}

// echoes sends requests on some ways and counts the answers.
func (m *measure) echoes(ctx context.Context, on []int, times int, every time.Duration) error {
	for _, i := range on {
		m.ways[i].Sent, m.ways[i].trips = 0, nil
	}
	m.counted = len(m.sent)
	for n := range times {
		if n > 0 {
			if err := m.hear(ctx, time.Now().Add(every), true); err != nil {
				return err
			}
		}
		for _, i := range on {
			m.ways[i].Sent++
			m.send(i, smallest(m.ways[i].Echo.To))
		}
	}
	err := m.hear(ctx, time.Now().Add(echoWithin), false)
	for _, i := range on {
		w := &m.ways[i]
		if w.Heard = len(w.trips); w.Heard > 0 {
			slices.Sort(w.trips)
			w.Min, w.Median, w.P90, w.P99 = time.Duration(w.trips[0]), rank(w.trips, 50), rank(w.trips, 90), rank(w.trips, 99)
		}
	}
	return err
}

// rank is what so many of a hundred do not exceed, of trips that are sorted.
func rank(trips []int, percent int) time.Duration {
	return time.Duration(trips[(len(trips)*percent+99)/100-1])
}

// smallest is the size of the requests that only ask whether there is an answer.
func smallest(to netip.Addr) int {
	if to.Is6() {
		return echoSize + 20
	}
	return echoSize
}

// sizes looks for the largest packet on each way that answers, by halves.
func (m *measure) sizes(ctx context.Context) error {
	var open []int
	for i := range m.ways {
		w := &m.ways[i]
		if w.Heard > 0 && w.Echo.MTU > smallest(w.Echo.To) {
			w.low, w.high = smallest(w.Echo.To), w.Echo.MTU
			open = append(open, i)
		}
	}
	for first := true; len(open) > 0; first = false {
		try := map[int]int{}
		for _, i := range open {
			w := m.ways[i]
			if try[i] = (w.low + w.high + 1) / 2; first {
				try[i] = w.high // what passes nearly always
			}
		}
		if err := m.trySizes(ctx, open, try); err != nil {
			return err
		}
		for _, i := range open {
			w := &m.ways[i]
			if w.low < try[i] {
				w.high = try[i] - 1
			}
			w.Passes = w.low
		}
		open = spec.Without(open, func(i int) bool { return m.ways[i].low >= m.ways[i].high })
	}
	return m.wholeAgain(ctx)
}

// wholeAgain tries packets of the MTU once more where smaller ones only seemed to pass.
func (m *measure) wholeAgain(ctx context.Context) error {
	var narrow []int
	try := map[int]int{}
	for i, w := range m.ways {
		if w.Passes > 0 && w.Passes < w.Echo.MTU {
			narrow, try[i] = append(narrow, i), w.Echo.MTU
		}
	}
	if len(narrow) == 0 {
		return nil
	}
	err := m.trySizes(ctx, narrow, try)
	for _, i := range narrow {
		m.ways[i].Passes = m.ways[i].low
	}
	return err
}

// trySizes sends a packet of a size on each of the ways open, again where it is not answered.
func (m *measure) trySizes(ctx context.Context, open []int, size map[int]int) error {
	wait := sizeWithin
	for _, i := range open {
		wait = max(wait, 4*m.ways[i].Median)
	}
	for range sizeTries {
		for _, i := range open {
			if m.ways[i].low < size[i] {
				m.send(i, size[i])
			}
		}
		if err := m.hear(ctx, time.Now().Add(wait), false); err != nil {
			return err
		}
	}
	return nil
}

// send sends one request. What cannot be sent is lost: a device may be down, or take no
// packet of this size.
func (m *measure) send(w, size int) {
	e := m.ways[w].Echo
	fd, open := m.sockets[e.From]
	number := len(m.sent)
	m.sent = append(m.sent, request{way: w, size: size, at: time.Now()})
	header := 20
	if e.To.Is6() {
		header = 40
	}
	p := make([]byte, size-header)
	p[0] = echoRequest4
	binary.BigEndian.PutUint16(p[4:], m.id)
	binary.BigEndian.PutUint16(p[6:], uint16(number)) //nolint:gosec // its lower half: the method note finds the rest
	if e.To.Is6() {
		p[0] = echoRequest6 // the kernel sums up
	} else {
		binary.BigEndian.PutUint16(p[2:], checksum(p[:8])) // the rest is zero
	}
	_, to := sockaddr(e.To, 0)
	if open && unix.Sendto(fd, p, 0, to) == nil {
		m.left++
		return
	}
	m.sent[number].answered = true // nobody waits for it
}

// hear takes in what comes until end, or until all is answered unless whole is set. It looks
// once more when end has come: this process may have stood still since the answer came.
func (m *measure) hear(ctx context.Context, end time.Time, whole bool) error {
	fds := make([]unix.PollFd, 0, len(m.sockets))
	from := make([]netip.Addr, 0, len(m.sockets))
	for a, fd := range m.sockets {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}) //nolint:gosec // a descriptor
		from = append(from, a)
	}
	for over := false; !over && (whole || m.left > 0); {
		var err error
		if over, err = awaitAny(ctx, fds, end); err != nil {
			return err
		}
		for i := range fds {
			if fds[i].Revents != 0 {
				m.take(int(fds[i].Fd), from[i])
			}
		}
	}
	if !whole {
		m.since, m.left = len(m.sent), 0 // what comes later is not waited for
	}
	return nil
}

// awaitAny waits for something to read, until end at most, and says whether that has come. It
// returns early: often enough that an end of the session is noticed.
func awaitAny(ctx context.Context, fds []unix.PollFd, end time.Time) (over bool, err error) {
	const slice = 20 * time.Millisecond
	wait := min(time.Until(end), slice)
	_, err = unix.Poll(fds, max(0, int((wait+time.Millisecond-1)/time.Millisecond)))
	if err == nil || errors.Is(err, unix.EINTR) {
		err = ctx.Err()
	}
	return wait <= 0, err
}

// take reads what a socket has.
func (m *measure) take(fd int, at netip.Addr) {
	p := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		now := time.Now()
		switch from := from.(type) {
		case *unix.SockaddrInet4:
			if header := int(p[0]&15) * 4; n >= header { // as raw(7) hands it out
				m.note(p[header:n], at, netip.AddrFrom4(from.Addr), n, now)
			}
		case *unix.SockaddrInet6:
			m.note(p[:n], at, netip.AddrFrom16(from.Addr), n+40, now)
		}
	}
}

// note takes in an answer of a size in bytes, or somebody else's request.
func (m *measure) note(p []byte, at, from netip.Addr, size int, now time.Time) {
	switch {
	case len(p) < 8:
	case p[0] == echoRequest4 && at.Is4() || p[0] == echoRequest6 && at.Is6():
		m.callers[from] = true
	case (p[0] == echoReply4 && at.Is4() || p[0] == echoReply6 && at.Is6()) && binary.BigEndian.Uint16(p[4:]) == m.id:
		// The latest of the requests that have this number: it counts to 65535.
		number := int(binary.BigEndian.Uint16(p[6:]))
		number += (len(m.sent) - 1 - number) >> 16 << 16
		if number < 0 || number >= len(m.sent) || m.sent[number].answered {
			return
		}
		r := &m.sent[number]
		w := &m.ways[r.way]
		if w.Echo.From != at || w.Echo.To != from || r.size != size {
			return
		}
		r.answered = true
		if number >= m.since {
			m.left--
		}
		if w.low < r.size {
			w.low = r.size
		}
		if number >= m.counted {
			w.trips = append(w.trips, int(now.Sub(r.at)))
		}
	}
}
