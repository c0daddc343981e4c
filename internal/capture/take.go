package capture

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// Packet is one that a server handed over.
type Packet struct {
	Point  int // at which it was taken
	Time   time.Time
	Out    bool // it left the server by the device
	Length int  // bytes on the wire
	Bytes  []byte
}

// Source is a point as its server opened it.
type Source struct {
	Ethernet bool
	// Skew is how far its clock is ahead of the workstation's; 0 where that is less than what
	// can be measured.
	Skew time.Duration
	Snap int // bytes of a packet at most, without a VLAN tag; 0: not known

	clocks Clocks
	lost   int // packets that its kernel had no room for before the capture began
}

// Clocks is what is known of a server's clock: of all answers, that which took the shortest
// time says most.
type Clocks struct {
	least, skew time.Duration
	known       bool
}

// Heard takes note of an answer to a request sent and answered at these times.
func (c *Clocks) Heard(sent, got time.Time, r *spec.CaptureReply) {
	way := max(0, got.Sub(sent)-r.Took)
	if !c.known || way < c.least {
		c.known, c.least = true, way
		c.skew = time.Unix(0, r.Clock).Sub(got.Add(-way / 2).Round(0))
	}
}

// Skew is how far the server's clock is ahead, if that is more than the time that a packet to
// it and back takes: less cannot be told from that.
func (c *Clocks) Skew() time.Duration {
	if c.skew.Abs() <= c.least {
		return 0
	}
	return c.skew
}

// Agree sets Skew anew where the clocks of several servers can be the same, as far as they are
// known: such servers get one, the middle of theirs. Else what the measurements miss would put
// their packets apart.
func Agree(sources map[int]Source) {
	order := slices.SortedFunc(maps.Keys(sources), func(a, b int) int {
		return cmp.Or(cmp.Compare(sources[a].clocks.skew, sources[b].clocks.skew), a-b)
	})
	for len(order) > 0 {
		var low, high, most time.Duration // between which their clocks can be ahead, and the longest way
		n := 0
		for ; n < len(order); n++ {
			c := sources[order[n]].clocks
			l, h := c.skew-c.least/2, c.skew+c.least/2
			if n > 0 {
				l, h = max(l, low), min(h, high)
			}
			if l > h {
				break
			}
			low, high, most = l, h, max(most, c.least)
		}
		skew := sources[order[n/2]].clocks.skew
		if skew.Abs() <= most {
			skew = 0
		}
		for _, i := range order[:n] {
			if s := sources[i]; n > 1 {
				s.Skew = skew
				sources[i] = s
			}
		}
		order = order[n:]
	}
}

// errClock means that a server's times are not those of one clock.
var errClock = errors.New("its clock was set while packets were taken")

// Unpack reads the packets of an answer. The error says that its sender is no agent of ours, or
// that its clock went back: its packets have no order among others'.
func Unpack(point int, s Source, r *spec.CaptureReply) ([]Packet, error) {
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		return nil, errors.New("the packets are no base64")
	}
	var out []Packet
	for len(data) > 0 {
		if len(data) < spec.CaptureHeader {
			return nil, errors.New("a packet ends too early")
		}
		size := binary.BigEndian.Uint32(data[12:])
		if uint64(size) > uint64(len(data)-spec.CaptureHeader) {
			return nil, errors.New("a packet ends too early")
		}
		if s.Snap > 0 && uint64(size) > uint64(s.Snap) {
			return nil, fmt.Errorf("a packet has %d bytes, and %d at most were asked for", size, s.Snap)
		}
		flags := binary.BigEndian.Uint16(data[18:])
		end := spec.CaptureHeader + int(size)
		p := Packet{
			Point: point, Out: flags&spec.CaptureOut != 0, Bytes: data[spec.CaptureHeader:end:end],
			Time:   time.Unix(0, int64(binary.BigEndian.Uint64(data))).Add(-s.Skew), //nolint:gosec // a time
			Length: max(int(binary.BigEndian.Uint32(data[8:])), int(size)),
		}
		if r.Clock != 0 && p.Time.After(time.Unix(0, r.Clock).Add(patience-s.Skew)) {
			return nil, errClock
		}
		if flags&spec.CaptureVLAN != 0 && s.Ethernet && len(p.Bytes) >= 12 {
			of := uint16(typeVLAN)
			if flags&spec.CaptureService != 0 {
				of = typeService
			}
			tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, of), binary.BigEndian.Uint16(data[16:]))
			p.Bytes = slices.Concat(p.Bytes[:12], tag, p.Bytes[12:])
			p.Length += len(tag)
		}
		out, data = append(out, p), data[end:]
	}
	return out, nil
}

// Merger puts packets of several servers in the order of their time.
type Merger struct {
	from  time.Time         // earlier packets are not wanted: others had not begun
	until map[int]time.Time // by point that takes part: earlier packets are here
	cut   time.Time         // not zero: later packets are not wanted, because a server had ended
	last  time.Time         // the latest that was heard of any point
	held  []Packet
	bytes int // of those, about
}

// patience is how long packets wait for a server that does not answer.
const patience = 2 * time.Second

// mostHeld is how many bytes wait: beyond it, the oldest wait no longer.
const mostHeld = 256 << 20

// weight is about what a packet takes in memory.
func (p Packet) weight() int { return len(p.Bytes) + 100 }

// NewMerger is for packets of so many points, from a time on.
func NewMerger(from time.Time, points ...int) *Merger {
	o := &Merger{from: from, until: map[int]time.Time{}}
	for _, p := range points {
		o.until[p] = time.Time{}
	}
	return o
}

// Add takes packets of a point, and the time up to which it has none besides.
func (o *Merger) Add(point int, packets []Packet, until time.Time) {
	for _, p := range packets {
		if !p.Time.Before(o.from) {
			o.held = append(o.held, p)
			o.bytes += p.weight()
		}
	}
	if before, there := o.until[point]; there && until.After(before) {
		o.until[point] = until
		if until.After(o.last) {
			o.last = until
		}
	}
}

// Leave ends the wait for a point. At the end of a capture, packets later than what is known of
// every point are not wanted: on one of them they would seem to be lost.
func (o *Merger) Leave(point int, failed bool) {
	if until := o.until[point]; !failed && !until.IsZero() && (o.cut.IsZero() || until.Before(o.cut)) {
		o.cut = until
	}
	delete(o.until, point)
}

// slack is for packets that were stamped just before others were read, and got to the socket
// just after.
const slack = 5 * time.Millisecond

// Next are the packets that none can come before any more, in order.
func (o *Merger) Next() []Packet {
	if len(o.until) == 0 {
		return o.Rest()
	}
	heard := slices.SortedFunc(maps.Values(o.until), time.Time.Compare)
	first, last := heard[0], heard[len(heard)-1]
	if last.Sub(first) > patience {
		first = last.Add(-patience)
	}
	first = first.Add(-slack)
	o.sort()
	o.trim()
	n := o.before(first)
	left := o.bytes
	for _, p := range o.held[:n] {
		left -= p.weight()
	}
	for ; left > mostHeld; n++ {
		left -= o.held[n].weight()
	}
	out := o.held[:n:n]
	o.held, o.bytes = o.held[n:], left
	return out
}

// trim leaves out the packets that are not wanted. A server that has told less of the time than
// others waited for takes away no more than that of theirs.
func (o *Merger) trim() {
	if o.cut.IsZero() {
		return
	}
	cut := o.cut
	if waited := o.last.Add(-patience); cut.Before(waited) {
		cut = waited
	}
	n := o.before(cut)
	for _, p := range o.held[n:] {
		o.bytes -= p.weight()
	}
	o.held = o.held[:n]
}

// before counts the packets before a time.
func (o *Merger) before(t time.Time) int {
	n, _ := slices.BinarySearchFunc(o.held, t, func(p Packet, t time.Time) int { return p.Time.Compare(t) })
	return n
}

// Rest are all packets that are left and wanted, in order.
func (o *Merger) Rest() []Packet {
	o.sort()
	o.trim()
	out := o.held
	o.held, o.bytes = nil, 0
	return out
}

func (o *Merger) sort() {
	slices.SortStableFunc(o.held, func(a, b Packet) int { return a.Time.Compare(b.Time) })
}
