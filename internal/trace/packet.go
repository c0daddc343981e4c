package trace

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/verify"
)

// sent is the packet that is really sent.
type sent struct {
	src, dst netip.Addr
	mark     []byte // what it contains, and nothing else does
	answer   []byte // what its answer contains; nil: that is not known
	data     []byte // behind the IP header
	asks     [][]byte
	size     int // bytes with the IP header
}

const (
	markSize  = 8
	echoSize  = 73   // bytes behind the IP header, of ICMP and UDP: few other packets are as long
	tcpSize   = 36   // the same of TCP
	answerFor = 1000 // milliseconds that an answer may take
	underWay  = 100  // milliseconds for what is still under way
)

// Packet makes the packet, of some random bytes, 16 at least. It is false where none can be sent:
// its source is not known, the container that sends it does not run.
func (t *Trace) Packet(w *Way, random []byte) bool {
	if len(w.Needs) > 0 || !w.src.IsValid() || t.From.Server == "" || !t.To.Addr.IsValid() {
		return false
	}
	s := &sent{src: w.src, dst: t.To.Addr, mark: append([]byte("fl"), random[:markSize-2]...), data: make([]byte, echoSize)}
	t.sent = s
	source := 0x8000 | binary.BigEndian.Uint16(random[8:])&0x3fff
	if t.Port != 0 {
		binary.BigEndian.PutUint16(s.data, source)
		binary.BigEndian.PutUint16(s.data[2:], uint16(t.Port)) //nolint:gosec // a port
	}
	switch t.Protocol {
	case protoTCP:
		s.data = s.data[:tcpSize] // with an option that says nothing (RFC 6994): few SYNs are as long
		copy(s.data[4:8], random[10:14])
		s.data[12], s.data[13] = 9<<4, 2 // 36 bytes, SYN
		binary.BigEndian.PutUint16(s.data[14:], 64240)
		// Ports may be translated on the way, the option stays.
		s.mark = append([]byte{254, 16}, append(s.mark, random[:14-markSize]...)...)
		copy(s.data[20:], s.mark)
		s.answer = binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(s.data[4:])+1)
	case protoUDP:
		binary.BigEndian.PutUint16(s.data[4:], echoSize)
		copy(s.data[8:], s.mark)
	default:
		reply := byte(0)
		if s.data[0] = 8; s.dst.Is6() {
			s.data[0], reply = 128, 129
		}
		binary.BigEndian.PutUint16(s.data[4:], source)
		s.data[7] = 1
		copy(s.data[8:], s.mark)
		back := slices.Clone(s.data)
		back[0] = reply
		binary.BigEndian.PutUint16(back[2:], t.checksum(back))
		s.answer = back[:8+markSize]
	}
	at := cmp.Or(map[int]int{protoTCP: 16, protoUDP: 6}[t.Protocol], 2)
	binary.BigEndian.PutUint16(s.data[at:], t.checksum(s.data))
	s.size = headerOf(s.dst) + len(s.data)
	for _, ask := range append(w.asks, [2]netip.Addr{s.src, s.dst}) {
		s.asks = append(s.asks, askFor(ask[0], ask[1]))
	}
	return true
}

// headerOf is how long the IP header before an address's packet is, in bytes.
func headerOf(a netip.Addr) int {
	if a.Is6() {
		return 40
	}
	return 20
}

// askFor is what a question for a MAC contains: ARP's addresses (RFC 826), or what is reserved
// and the target of a neighbour solicitation (RFC 4861).
func askFor(src, dst netip.Addr) []byte {
	if dst.Is6() {
		return append(make([]byte, 4), dst.AsSlice()...)
	}
	out := append(src.AsSlice(), make([]byte, 6)...)
	return append(out, dst.AsSlice()...)
}

// checksum is that of TCP, UDP and ICMP, with the addresses where they count.
func (t *Trace) checksum(b []byte) uint16 {
	if t.Protocol == protoICMP {
		return verify.Checksum(netip.Addr{}, netip.Addr{}, 0, b)
	}
	return verify.Checksum(t.sent.src, t.sent.dst, byte(t.Protocol), b) //nolint:gosec // one of IP's
}

// Taps are the servers at which the packet is listened for, by what each is asked.
func (t *Trace) Taps(w *Way) map[string][]*spec.Request {
	out := map[string][]*spec.Request{}
	sizes := map[int]bool{}
	// Outside of them: VXLAN, IP in IP, GRE, UDP; over IPv4 and IPv6.
	add := func(size int) {
		for _, more := range []int{0, 50, 70, 20, 24, 28, 44, 48} {
			sizes[size+more] = true
		}
	}
	add(t.sent.size)
	add(t.sent.size + 28) // an ICMP error about it
	if t.Protocol == protoTCP {
		sizes[t.sent.size+4], sizes[40], sizes[44], sizes[60], sizes[64] = true, true, true, true, true
	}
	if t.sent.dst.Is6() {
		add(72) // a neighbour solicitation
	} else {
		sizes[28+50], sizes[28+70] = true, true // ARP in VXLAN
	}
	servers := []string{t.From.Server, t.To.Server}
	for _, p := range w.passes {
		servers = append(servers, p.server)
	}
	for _, s := range servers {
		if s != "" {
			out[s] = []*spec.Request{t.request(s, &spec.TraceRequest{Filter: filterFor(t.endian(s), slices.Sorted(maps.Keys(sizes)))})}
		}
	}
	return out
}

func (t *Trace) request(server string, r *spec.TraceRequest) *spec.Request {
	return &spec.Request{Op: spec.OpTrace, Want: &spec.Host{Cluster: t.c.Name, Store: t.c.ID, Server: server}, Trace: r}
}

// filterFor is a program of the kernel's packet filters (linux/filter.h) that lets ARP pass, and
// IP packets of some sizes, as their headers say.
func filterFor(o binary.ByteOrder, sizes []int) string {
	const (
		loadByte, loadHalf = 0x30, 0x28
		and, add, equal    = 0x54, 0x04, 0x15
		jump, ret          = 0x05, 0x06
		ancillaryProtocol  = 0xfffff000 // SKF_AD_OFF + SKF_AD_PROTOCOL
		arp                = 0x0806
		wholePacket        = 1 << 16
	)
	var out []byte
	emit := func(code uint16, yes, no int, k uint32) {
		b := make([]byte, 8)
		o.PutUint16(b, code)
		b[2], b[3] = byte(yes), byte(no)
		o.PutUint32(b[4:], k)
		out = append(out, b...)
	}
	n := len(sizes)
	emit(loadHalf, 0, 0, ancillaryProtocol)
	emit(equal, n+8, 0, arp)
	emit(loadByte, 0, 0, 0)
	emit(and, 0, 0, 0xf0)
	emit(equal, 0, 2, 0x40)
	emit(loadHalf, 0, 0, 2) // IPv4: total length
	emit(jump, 0, 0, 2)
	emit(loadHalf, 0, 0, 4) // IPv6: payload length
	emit(add, 0, 0, 40)
	for i, size := range sizes {
		emit(equal, n-i, 0, uint32(size)) //nolint:gosec // of packets
	}
	emit(ret, 0, 0, 0)
	emit(ret, 0, 0, wholePacket)
	return base64.StdEncoding.EncodeToString(out)
}

// marks are what counts, the answer first: it may contain the rest.
func (t *Trace) marks() (marks []string, last string) {
	if t.sent.answer != nil {
		last = base64.StdEncoding.EncodeToString(t.sent.answer)
		marks = append(marks, last)
	}
	for _, m := range append([][]byte{t.sent.mark}, t.sent.asks...) {
		marks = append(marks, base64.StdEncoding.EncodeToString(m))
	}
	return marks, last
}

// Send asks From's server to send the packet, and what it heard then.
func (t *Trace) Send() *spec.Request {
	r := &spec.TraceRequest{
		From: t.sent.src, To: t.sent.dst, Protocol: t.Protocol, Wait: answerFor, Inside: t.From.Container,
		Data: base64.StdEncoding.EncodeToString(t.sent.data),
	}
	r.Marks, r.Last = t.marks()
	return t.request(t.From.Server, r)
}

// Hear asks another server what it heard.
func (t *Trace) Hear(server string) *spec.Request {
	r := &spec.TraceRequest{Wait: underWay}
	r.Marks, _ = t.marks()
	return t.request(server, r)
}
