package capture

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"
)

// File writes pcapng (draft-ietf-opsawg-pcapng): a section with an interface for each point.
type File struct {
	w        *bufio.Writer
	ethernet []bool // by interface: its packets have an Ethernet header
	number   map[int]int
	err      error
}

// Blocks of a file, and their options.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockPacket     = 6
	blockStatistics = 5

	optionComment    = 1
	optionName       = 2 // of an interface
	optionResolution = 9 // of its times
	optionFilter     = 11
	optionFlags      = 2 // of a packet
	optionProgram    = 4 // of the section
	optionDropped    = 7 // by the system (isb_osdrop); of statistics

	linkEthernet = 1

	// mostAdded is what a packet can have here besides what was taken of it: an Ethernet header
	// and a VLAN tag. Readers refuse a packet that is longer than its interface's.
	mostAdded = 14 + 4
	// packetBlock is what a packet takes besides its bytes.
	packetBlock = 44
)

// NewFile begins a file of what is taken at points by a filter, of each packet snap bytes at
// most. Packets without an Ethernet header get one, of zeros: libpcap (1.10.3) reads no file with
// two sorts of interfaces, and none with two whose packets begin with an IP header.
func NewFile(w io.Writer, program, filter string, snap int, points []Point, sources map[int]Source) *File {
	f := &File{w: bufio.NewWriterSize(w, 1<<16), number: map[int]int{}}
	f.block(blockSection, nil, func(b []byte) []byte {
		b = append(b, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0) // byte order, version 1.0
		b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		return ended(option(b, optionProgram, []byte(program)))
	})
	for i, p := range points {
		s, there := sources[i]
		if !there {
			continue
		}
		f.number[i] = len(f.ethernet)
		f.ethernet = append(f.ethernet, s.Ethernet)
		f.block(blockInterface, nil, func(b []byte) []byte {
			b = binary.LittleEndian.AppendUint16(b, linkEthernet)
			b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(snap+mostAdded)) //nolint:gosec // checked by the command
			b = option(b, optionName, []byte(p.String()))
			b = option(b, optionResolution, []byte{9}) // nanoseconds
			if filter != "" {
				b = option(b, optionFilter, append([]byte{0}, filter...))
			}
			if s.Skew != 0 {
				b = option(b, optionComment, []byte("clock corrected by "+(-s.Skew).String()))
			}
			return ended(b)
		})
	}
	return f
}

// Packet adds one.
func (f *File) Packet(p Packet) {
	n, known := f.number[p.Point]
	if !known {
		return
	}
	data, length := p.Bytes, p.Length
	if !f.ethernet[n] {
		head := make([]byte, 14, 14+len(data))
		t := uint16(typeIP4)
		if len(data) > 0 && data[0]>>4 == 6 {
			t = typeIP6
		}
		binary.BigEndian.PutUint16(head[12:], t)
		data, length = append(head, data...), length+14
	}
	f.block(blockPacket, data, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, uint32(n)) //nolint:gosec // an index
		b = stamp(b, p.Time)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data))) //nolint:gosec // read from a frame
		return binary.LittleEndian.AppendUint32(b, uint32(length)) //nolint:gosec // 32 bits of a message
	}, p.direction()...)
}

func (p Packet) direction() []byte {
	way := byte(1)
	if p.Out {
		way = 2
	}
	return ended(option(nil, optionFlags, []byte{way, 0, 0, 0}))
}

// Lost notes at the end how many packets the kernel of a point had no room for.
func (f *File) Lost(point, lost int) {
	n, known := f.number[point]
	if !known {
		return
	}
	f.block(blockStatistics, nil, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, uint32(n)) //nolint:gosec // an index
		b = stamp(b, time.Now())
		return ended(option(b, optionDropped, binary.LittleEndian.AppendUint64(nil, uint64(lost)))) //nolint:gosec // checked
	})
}

// Flush writes out what was added. What has been written is a whole file at any time after it.
// The error is the first of the writer.
func (f *File) Flush() error {
	if f.err == nil {
		f.err = f.w.Flush()
	}
	return f.err
}

// block writes one: what fill appends, a packet's bytes, and what is after them.
func (f *File) block(sort uint32, data []byte, fill func([]byte) []byte, after ...byte) {
	if f.err != nil {
		return
	}
	pad := -len(data) & 3
	body := fill(nil)
	size := uint32(12 + len(body) + len(data) + pad + len(after)) //nolint:gosec // a frame's bytes
	b := binary.LittleEndian.AppendUint32(nil, sort)
	b = append(binary.LittleEndian.AppendUint32(b, size), body...)
	b = append(append(b, data...), make([]byte, pad)...)
	b = binary.LittleEndian.AppendUint32(append(b, after...), size)
	_, f.err = f.w.Write(b)
}

// option adds one, cut to what one can have, and ended what ends their list.
func option(b []byte, code uint16, value []byte) []byte {
	value = value[:min(len(value), 1<<16-1)]
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value))) //nolint:gosec // cut
	return append(append(b, value...), make([]byte, -len(value)&3)...)
}

func ended(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// stamp adds a time: the higher half comes first.
func stamp(b []byte, t time.Time) []byte {
	n := uint64(t.UnixNano())                                                                              //nolint:gosec // after 1970
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(n>>32)), uint32(n)) //nolint:gosec // its halves
}
