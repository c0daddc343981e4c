package capture

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
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

// Unpack reads the packets of an answer. The error says that its sender is no agent of ours.
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
		flags := binary.BigEndian.Uint16(data[18:])
		end := spec.CaptureHeader + int(size)
		p := Packet{
			Point: point, Out: flags&spec.CaptureOut != 0, Bytes: data[spec.CaptureHeader:end:end],
			Time:   time.Unix(0, int64(binary.BigEndian.Uint64(data))).Add(-s.Skew), //nolint:gosec // a time
			Length: max(int(binary.BigEndian.Uint32(data[8:])), int(size)),
		}
		if flags&spec.CaptureVLAN != 0 && s.Ethernet && len(p.Bytes) >= 12 {
			tag := binary.BigEndian.AppendUint16([]byte{typeVLAN >> 8, typeVLAN & 0xff}, binary.BigEndian.Uint16(data[16:]))
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
	held  []Packet
}

// patience is how long packets wait for a server that does not answer.
const patience = 2 * time.Second

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
		}
	}
	if before, there := o.until[point]; there && until.After(before) {
		o.until[point] = until
	}
}

// Leave ends the wait for a point.
func (o *Merger) Leave(point int) { delete(o.until, point) }

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
	n, _ := slices.BinarySearchFunc(o.held, first, func(p Packet, t time.Time) int { return p.Time.Compare(t) })
	out := o.held[:n:n]
	o.held = o.held[n:]
	return out
}

// Rest are all packets that are left, in order.
func (o *Merger) Rest() []Packet {
	o.sort()
	out := o.held
	o.held = nil
	return out
}

func (o *Merger) sort() {
	slices.SortStableFunc(o.held, func(a, b Packet) int { return a.Time.Compare(b.Time) })
}
