package kernel

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var le = binary.LittleEndian

func number(n int) []byte { return Number(le, n) }

// attr is an attribute of a message about traffic control.
func attr(kind int, parts ...[]byte) []byte { return nested(kind, slices.Concat(parts...)) }

// control4 is a message: the header of tc(8)'s, the kind, options.
func control4(handle, parent, info uint32, kind string, options ...[]byte) []byte {
	b := le.AppendUint32(le.AppendUint32(make([]byte, 4), 7), handle)
	b = le.AppendUint32(le.AppendUint32(b, parent), info)
	return slices.Concat(b, attr(1, append([]byte(kind), 0)), attr(2, options...))
}

// gact is a list of one action with a verdict.
func gact(verdict int) []byte {
	return attr(1, attr(1, []byte("gact\x00")), attr(2, attr(2, number(1), number(0), number(verdict), number(1), number(1))))
}

// u32 are the matches of that: value, mask and offset in turn.
func u32(keys ...uint32) []byte {
	b := []byte{1, 0, byte(len(keys) / 3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for i := 0; i < len(keys); i += 3 {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, keys[i+1]), keys[i])
		b = le.AppendUint32(le.AppendUint32(b, keys[i+2]), 0)
	}
	return attr(5, b)
}

const (
	root, entry = 0xffffffff, 0xfffffff1
	ip          = 10<<16 | 0x0008 // pref 10, protocol ip, as little endian has it
	everything  = 20<<16 | 0x0300
	drop        = 2
)

// TestControl: queues and filters of traffic control do what the kernel does with them, what depends on
// what is not known is not called sure, and the line that comes next takes the very thing away.
func TestControl(t *testing.T) {
	t.Parallel()
	queue := func(handle, parent uint32, kind string, options ...[]byte) []byte {
		return control4(handle, parent, 0, kind, options...)
	}
	netem := func(delay, limit, loss int) []byte {
		return slices.Concat(number(delay), number(limit), number(loss), make([]byte, 12))
	}
	tbf := func(rate, limit, buffer int) []byte {
		return attr(1, make([]byte, 8), number(rate), make([]byte, 12), number(limit), number(buffer), number(0))
	}
	clsact := queue(0xffff0000, entry, "clsact")
	const port4789 = 4789
	udp := []uint32{0x0a630003, 0xffffffff, 16, 0x00110000, 0x00ff0000, 8, port4789, 0xffff, 20}
	for _, test := range []struct {
		name    string
		out     bool
		queues  [][]byte
		filters map[uint32][][]byte
		drops   string // what does, and how
		may     string
		most    int
		next    string
	}{
		{name: "nothing", out: true},
		{name: "all is lost", out: true, queues: [][]byte{queue(0x10000, root, "netem", netem(0, 1000, 0xffffffff))}, drops: "qdisc netem of eth0 by a loss of 100 %", next: "tc qdisc del dev eth0 root"},
		{name: "what comes meets no queue", queues: [][]byte{queue(0x10000, root, "netem", netem(0, 1000, 0xffffffff))}},
		{name: "some is lost", out: true, queues: [][]byte{queue(0x10000, root, "netem", netem(0, 1000, 1<<30))}, may: "qdisc netem of eth0 by a loss of 25 %", next: "tc -s qdisc show dev eth0"},
		{name: "a long way", out: true, queues: [][]byte{queue(0x10000, root, "netem", netem(3e9/64, 1000, 0))}, may: "qdisc netem of eth0 as it delays packets by 3.0 s", next: "tc -s qdisc show dev eth0"},
		{name: "a short way", out: true, queues: [][]byte{queue(0x10000, root, "netem", netem(2e8/64, 1000, 0))}},
		{name: "blackhole", out: true, queues: [][]byte{queue(0x10000, root, "blackhole")}, drops: "qdisc blackhole of eth0 as everything", next: "tc qdisc del dev eth0 root"},
		{name: "no room", out: true, queues: [][]byte{queue(0x10000, root, "pfifo", number(0))}, drops: "qdisc pfifo of eth0 as it holds no such packet (limit 0)", next: "tc qdisc del dev eth0 root"},
		{name: "room for small ones", out: true, queues: [][]byte{queue(0x10000, root, "bfifo", number(900))}, most: 900},
		{name: "a bucket's queue", out: true, queues: [][]byte{queue(0x10000, root, "tbf", tbf(125000, 50, 1250000))}, drops: "qdisc tbf of eth0 as it holds no such packet (limit 50)", next: "tc qdisc del dev eth0 root"},
		{name: "a bucket", out: true, queues: [][]byte{queue(0x10000, root, "tbf", tbf(125000, 5000, 625))}, drops: "qdisc tbf of eth0 as the burst is 5 bytes", next: "tc qdisc del dev eth0 root"},
		{name: "a bucket for small ones", out: true, queues: [][]byte{queue(0x10000, root, "tbf", tbf(125000, 5000, 125000))}, most: 1001},
		{name: "the default class", out: true, queues: [][]byte{queue(0x10000, root, "htb", attr(2, number(3), number(10), number(0x10), number(0), number(0))), queue(0x100000, 0x10010, "blackhole"), queue(0x200000, 0x10020, "pfifo", number(10))}, drops: "qdisc blackhole of eth0 as everything", next: "tc qdisc del dev eth0 parent 1:10"},
		{name: "a class, which is not known", out: true, queues: [][]byte{queue(0x10000, root, "prio"), queue(0x100000, 0x10003, "blackhole")}, may: "qdisc blackhole of eth0 as everything", next: "tc qdisc del dev eth0 parent 1:3"},
		{
			name: "a class by a filter", out: true, queues: [][]byte{queue(0x10000, root, "prio"), queue(0x100000, 0x10003, "blackhole")},
			filters: map[uint32][][]byte{0x10000: {control4(0x80000800, 0x10000, ip, "u32", attr(1, number(0x10003)), u32(udp...))}},
			drops:   "qdisc blackhole of eth0 as everything", next: "tc qdisc del dev eth0 parent 1:3",
		},
		{
			name: "another class", out: true, queues: [][]byte{queue(0x10000, root, "prio"), queue(0x100000, 0x10003, "blackhole")},
			filters: map[uint32][][]byte{0x10000: {control4(0x80000800, 0x10000, ip, "u32", attr(1, number(0x10002)), u32(udp...))}},
		},
		{
			name: "u32", queues: [][]byte{queue(0xffff0000, entry, "ingress")},
			filters: map[uint32][][]byte{comes: {control4(0x80000000, comes, ip, "u32", attr(4, number(1))), control4(0x80001802, comes, ip, "u32", u32(udp...), attr(7, gact(drop)))}},
			drops:   "tc filter of eth0 by u32 pref 10 of ingress", next: "tc filter del dev eth0 ingress protocol ip pref 10 handle 800:1:802 u32",
		},
		{name: "u32 of another port", queues: [][]byte{clsact}, filters: map[uint32][][]byte{comes: {control4(0x80000800, comes, ip, "u32", u32(4790, 0xffff, 20), attr(7, gact(drop)))}}},
		{
			name: "u32 of what is not known", queues: [][]byte{clsact}, filters: map[uint32][][]byte{comes: {control4(0x80000800, comes, ip, "u32", u32(0x00500000, 0xffff0000, 20), attr(7, gact(drop)))}},
			may: "tc filter of eth0 by u32 pref 10 of ingress", next: "tc -s filter show dev eth0 ingress",
		},
		{
			name: "flower", out: true, queues: [][]byte{clsact},
			filters: map[uint32][][]byte{leaves: {control4(1, leaves, ip, "flower", attr(8, []byte{8, 0}), attr(9, []byte{17}), attr(12, []byte{10, 99, 0, 0}), attr(13, []byte{255, 255, 255, 0}), attr(21, []byte{0x12, 0xb5}), attr(22, number(0)), attr(86, number(0)), attr(3, gact(drop)))}},
			drops:   "tc filter of eth0 by flower pref 10 of egress", next: "tc filter del dev eth0 egress protocol ip pref 10 handle 0x1 flower",
		},
		{name: "flower of another subnet", out: true, queues: [][]byte{clsact}, filters: map[uint32][][]byte{leaves: {control4(1, leaves, ip, "flower", attr(12, []byte{10, 98, 0, 0}), attr(13, []byte{255, 255, 255, 0}), attr(3, gact(drop)))}}},
		{name: "flower of a connection", out: true, queues: [][]byte{clsact}, filters: map[uint32][][]byte{leaves: {control4(1, leaves, ip, "flower", attr(91, []byte{1, 0}), attr(3, gact(drop)))}}, may: "tc filter of eth0 by flower pref 10 of egress", next: "tc -s filter show dev eth0 egress"},
		{name: "of what comes", out: true, queues: [][]byte{clsact}, filters: map[uint32][][]byte{comes: {control4(1, comes, everything, "matchall", attr(2, gact(drop)))}}},
		{name: "IPv6 only", queues: [][]byte{clsact}, filters: map[uint32][][]byte{comes: {control4(1, comes, 5<<16|0xdd86, "matchall", attr(2, gact(drop)))}}},
		{
			name: "accepted before", queues: [][]byte{clsact},
			filters: map[uint32][][]byte{comes: {control4(0x80000800, comes, ip, "u32", u32(udp...), attr(7, gact(0))), control4(1, comes, everything, "matchall", attr(2, gact(drop)))}},
		},
		{
			name: "maybe accepted before", queues: [][]byte{clsact},
			filters: map[uint32][][]byte{comes: {control4(1, comes, ip, "fw", attr(4, gact(0))), control4(1, comes, everything, "matchall", attr(2, gact(drop)))}},
			may:     "tc filter of eth0 by matchall pref 20 of ingress", next: "tc -s filter show dev eth0 ingress",
		},
		{
			name: "goes on", queues: [][]byte{clsact},
			filters: map[uint32][][]byte{comes: {control4(0x80000800, comes, ip, "u32", u32(udp...), attr(7, gact(-1))), control4(1, comes, everything, "matchall", attr(2, gact(drop)))}},
			drops:   "tc filter of eth0 by matchall pref 20 of ingress", next: "tc filter del dev eth0 ingress protocol all pref 20 handle 0x1 matchall",
		},
		{
			name: "a chain", queues: [][]byte{clsact},
			filters: map[uint32][][]byte{comes: {
				control4(1, comes, ip, "matchall", attr(2, gact(0x20000000|5))),
				append(control4(1, comes, everything, "matchall", attr(2, gact(drop))), attr(11, number(5))...),
			}},
			drops: "tc filter of eth0 by matchall pref 20 of ingress", next: "tc filter del dev eth0 ingress chain 5 protocol all pref 20 handle 0x1 matchall",
		},
		{name: "a chain in a circle", queues: [][]byte{clsact}, filters: map[uint32][][]byte{comes: {control4(1, comes, ip, "matchall", attr(2, gact(0x20000000)))}}},
		{name: "a program", queues: [][]byte{clsact}, filters: map[uint32][][]byte{comes: {control4(1, comes, everything, "bpf", attr(8, number(1)))}}, may: "tc filter of eth0 by bpf pref 20 of ingress", next: "tc -s filter show dev eth0 ingress"},
		{
			name: "a block", queues: [][]byte{append(clsact, attr(13, number(22))...)}, filters: map[uint32][][]byte{comes: {control4(1, comes, everything, "matchall", attr(2, gact(drop)))}},
			drops: "tc filter of eth0 by matchall pref 20 of ingress", next: "tc filter del block 22 protocol all pref 20 handle 0x1 matchall",
		},
	} {
		c := &Control{Endian: le}
		for _, q := range test.queues {
			c.TakeQueue(q)
		}
		for _, h := range c.Unread(7, test.out) {
			if h.Question(le) == "" {
				t.Errorf("%s: no question", test.name)
			}
			c.Take(h, test.filters[h.parent])
		}
		if more := c.Unread(7, test.out); len(more) > 0 {
			t.Errorf("%s: %v is asked again", test.name, more)
		}
		f := Flow{Src: netip.MustParseAddr("10.99.0.1"), Dst: netip.MustParseAddr("10.99.0.3"), Proto: 17, Port: port4789}
		o, most := c.Pass(Device{7, "eth0"}, test.out, f, 93)
		drops, may, next := "", "", ""
		if o.Held != nil {
			object, _ := o.Object()
			says := object + " " + o.How()
			if next = strings.Join(o.List(), " "); o.Drops {
				drops = says
			} else {
				may = says
			}
		}
		if drops != test.drops || may != test.may || most != test.most || next != test.next {
			t.Errorf("%s: want %q, may %q, %d, next %q\nhave %q, may %q, %d, next %q", test.name, test.drops, test.may, test.most, test.next, drops, may, most, next)
		}
	}
	var none *Control
	if o, most := none.Pass(Device{}, true, Flow{}, 0); o.Drops || o.May || most != 0 || none.Unread(1, true) != nil {
		t.Error("what is not known drops")
	}
}

// TestControlIsBounded: whatever a server says, nothing is read beyond its end.
func TestControlIsBounded(t *testing.T) {
	t.Parallel()
	whole := [][]byte{
		control4(0x10000, root, 0, "tbf", attr(1, make([]byte, 36))), control4(0x10000, root, 0, "netem", make([]byte, 24)),
		control4(0x10000, root, 0, "htb", attr(2, make([]byte, 20))), control4(0x10000, 0x10000, 0, "prio"),
		control4(0x80000800, comes, ip, "u32", u32(1, 2, 3), attr(7, gact(drop))),
	}
	for _, b := range whole {
		for cut := range len(b) {
			c := &Control{Endian: le}
			c.TakeQueue(control4(0xffff0000, entry, 0, "clsact"))
			c.TakeQueue(b[:cut])
			for _, h := range c.Unread(7, true) {
				c.Take(h, [][]byte{b[:cut]})
			}
			c.Take(Hook{7, comes}, [][]byte{b[:cut]})
			for _, out := range []bool{true, false} {
				c.Pass(Device{7, "eth0"}, out, Flow{Dst: netip.MustParseAddr("10.0.0.1"), Proto: 1}, 93)
			}
		}
	}
}
