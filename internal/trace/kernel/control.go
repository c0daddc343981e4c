package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Traffic control (linux/pkt_sched.h, pkt_cls.h, tc(8)): queues of devices, and filters before them.
const (
	GetQueue  = 38 // RTM_GETQDISC
	getFilter = 46 // RTM_GETTFILTER

	ofRoot    = 0xffffffff // TC_H_ROOT
	ofIngress = 0xfffffff1 // TC_H_INGRESS, also of clsact
	comes     = 0xfffffff2 // its filters of what comes
	leaves    = 0xfffffff3 // and of what leaves
	major     = 0xffff0000
	tcHeader  = 20 // bytes of struct tcmsg
)

// Control is what traffic control has in one network namespace.
type Control struct {
	Endian  binary.ByteOrder
	queues  []*queue
	filters map[Hook][]*filter
}

// Hook is where filters of traffic control are: of a queue, or of what comes or leaves.
type Hook struct {
	Device int // index
	parent uint32
}

// queue is a queueing discipline.
type queue struct {
	device         int
	handle, parent uint32
	kind           string
	options        []byte
	blocks         [2]int // of filters that several devices have; 0: none
}

// TakeQueue reads a message about a queue.
func (c *Control) TakeQueue(b []byte) {
	if len(b) < tcHeader {
		return
	}
	a := AttrsOf(c.Endian, b, tcHeader)
	c.queues = append(c.queues, &queue{
		device: U32(c.Endian, b[4:]), handle: c.Endian.Uint32(b[8:]), parent: c.Endian.Uint32(b[12:]),
		kind: Text(a[1]), options: a[2], blocks: [2]int{U32(c.Endian, a[13]), U32(c.Endian, a[14])},
	})
}

// Unread are the hooks of a device in one direction whose filters are not read yet.
func (c *Control) Unread(device int, out bool) []Hook {
	if c == nil {
		return nil
	}
	var list []Hook
	want := func(parent uint32) {
		if _, known := c.filters[Hook{device, parent}]; !known {
			list = append(list, Hook{device, parent})
		}
	}
	for _, q := range c.queues {
		switch {
		case q.device != device:
		case q.parent == ofIngress && !out:
			want(comes)
		case q.parent == ofIngress && q.kind == "clsact":
			want(leaves)
		case out && q.classifies():
			want(q.handle)
		}
	}
	return list
}

// classifies says whether a queue may have filters.
func (q *queue) classifies() bool {
	none := []string{"noqueue", "mq", "pfifo_fast", "pfifo", "bfifo", "fq", "tbf", "netem", "blackhole", "ingress", "clsact"}
	return !slices.Contains(none, q.kind) && (q.handle != 0 || q.parent == ofRoot)
}

// Question asks for the filters of a hook.
func (h Hook) Question(o binary.ByteOrder) string {
	header := make([]byte, tcHeader)
	o.PutUint32(header[4:], uint32(h.Device)) //nolint:gosec // an index
	o.PutUint32(header[12:], h.parent)
	return Question(o, getFilter, Dump, header)
}

// Take reads the filters of a hook.
func (c *Control) Take(h Hook, list [][]byte) {
	if c.filters == nil {
		c.filters = map[Hook][]*filter{}
	}
	c.filters[h] = nil
	for _, b := range list {
		if f := filterOf(c.Endian, b); f != nil {
			c.filters[h] = append(c.filters[h], f)
		}
	}
}

// Held is an object of traffic control that drops packets.
type Held struct {
	Object string   // "qdisc netem of eth0"
	how    string   // "by a loss of 100 %"
	next   []string // what takes it away, or shows it where that is not sure
}

// Pass says what traffic control does with a flow that comes by a device, or leaves by one. Size is what
// the packet has at least, in bytes; most the bytes that larger packets are dropped of, 0: none are.
func (c *Control) Pass(dev Device, out bool, f Flow, size int) (o Outcome, most int) {
	if c == nil {
		return o, 0
	}
	w := &control{c, dev, f, size, 0}
	at, in := c.find(dev.Index, ofIngress), uint32(comes)
	if out {
		in = leaves
	}
	if at != nil {
		o, _, _ = w.classify(at, Hook{dev.Index, in})
	}
	if root := c.find(dev.Index, ofRoot); out && root != nil && !o.Drops {
		if below := w.queued(root, 0); below.Drops || !o.May {
			o = below
		}
	}
	if o.Drops {
		return o, 0
	}
	return o, w.most
}

func (c *Control) find(device int, parent uint32) *queue {
	for _, q := range c.queues {
		if q.device == device && q.parent == parent {
			return q
		}
	}
	return nil
}

// control is one look at a flow.
type control struct {
	*Control
	dev  Device
	flow Flow
	size int
	most int
}

// deepest is how many queues are looked at below each other.
const deepest = 8

// queued is what a queue and those below it do.
func (w *control) queued(q *queue, depth int) Outcome {
	maybe := w.holds(q)
	if maybe.Drops || depth > deepest {
		return maybe
	}
	o, class, sure := w.classify(q, Hook{w.dev.Index, q.handle})
	if o.Drops {
		return o
	}
	if !maybe.May {
		maybe = o
	}
	if class == 0 && q.kind == "htb" {
		if init := AttrsOf(w.Endian, q.options, 0)[2]; len(init) >= 12 { // struct tc_htb_glob
			class = q.handle | w.Endian.Uint32(init[8:])
		}
	}
	for _, below := range w.queues {
		if below.device != w.dev.Index || below.handle == q.handle || below.parent&major != q.handle || q.handle == 0 {
			continue
		}
		one := q.kind == "tbf" || q.kind == "netem" // there is one class
		if class != 0 && sure && !one && below.parent != class {
			continue
		}
		o := w.queued(below, depth+1)
		if o.Drops && !one && (class == 0 || !sure) {
			o.Drops, o.May = false, true
		}
		if o.Drops {
			return o
		}
		if !maybe.May {
			maybe = o
		}
	}
	return maybe
}

// holds is what a queue itself does.
func (w *control) holds(q *queue) Outcome {
	object := fmt.Sprintf("qdisc %s of %s", q.kind, w.dev.Name)
	del := []string{"tc", "qdisc", "del", "dev", w.dev.Name, "root"}
	if q.parent != ofRoot {
		del = append(del[:5], "parent", handle(q.parent))
	}
	drops := func(how string, args ...any) Outcome {
		return Outcome{Drops: true, Held: &Held{object, fmt.Sprintf(how, args...), del}}
	}
	switch q.kind {
	case "blackhole":
		return drops("as everything")
	case "pfifo", "bfifo":
		if len(q.options) >= 4 {
			return w.limited(q.kind == "bfifo", U32(w.Endian, q.options), drops)
		}
	case "tbf":
		return w.bucket(q, drops)
	case "netem":
		o := w.emulated(q.options, drops)
		if o.May {
			o.Held.next = []string{"tc", "-s", "qdisc", "show", "dev", w.dev.Name}
		}
		return o
	}
	return Outcome{}
}

// limited is a queue of so many bytes, or packets.
func (w *control) limited(bytes bool, limit int, drops func(string, ...any) Outcome) Outcome {
	switch {
	case bytes && limit < w.size, !bytes && limit == 0:
		return drops("as it holds no such packet (limit %d)", limit)
	case bytes:
		w.bound(limit)
	}
	return Outcome{}
}

func (w *control) bound(most int) {
	if w.most == 0 || most < w.most {
		w.most = most
	}
}

// bucket is a token bucket: larger than what that and the queue hold no packet may be.
func (w *control) bucket(q *queue, drops func(string, ...any) Outcome) Outcome {
	a := AttrsOf(w.Endian, q.options, 0)
	p := a[1] // struct tc_tbf_qopt
	if len(p) < 32 {
		return Outcome{}
	}
	rate := float64(w.Endian.Uint32(p[8:]))
	if len(a[4]) == 8 {
		rate = float64(w.Endian.Uint64(a[4]))
	}
	const ticks = 1e9 / 64 // in a second
	if burst := rate * float64(w.Endian.Uint32(p[28:])) / ticks; burst > 0 && burst < 1<<24 {
		if burst+1 < float64(w.size) {
			return drops("as the burst is %.0f bytes", burst)
		}
		w.bound(int(burst) + 1)
	}
	if slices.ContainsFunc(w.queues, func(b *queue) bool { return b.device == q.device && b != q && b.parent&major == q.handle }) {
		return Outcome{} // it is that queue's limit that counts
	}
	return w.limited(true, U32(w.Endian, p[24:]), drops)
}

// emulated is a bad line (tc-netem(8)).
func (w *control) emulated(options []byte, drops func(string, ...any) Outcome) Outcome {
	if len(options) < tcHeader {
		return Outcome{}
	}
	const all, long = 1<<32 - 1, 9e8 // nanoseconds that an answer is not waited for
	loss, a := w.Endian.Uint32(options[8:]), AttrsOf(w.Endian, options, 24)
	delay := uint64(w.Endian.Uint32(options)) << 6
	if len(a[10]) == 8 {
		delay = w.Endian.Uint64(a[10])
	}
	might := func(how string, args ...any) Outcome {
		o := drops(how, args...)
		o.Drops, o.May = false, true
		return o
	}
	switch {
	case loss == all:
		return drops("by a loss of 100 %%")
	case U32(w.Endian, options[4:]) == 0:
		return drops("as it holds no packet (limit 0)")
	case loss > 0:
		return might("by a loss of %.3g %%", float64(loss)*100/all)
	case len(a[5]) > 0:
		return might("by losses")
	case len(a[4]) >= 4 && U32(w.Endian, a[4]) > 0:
		return might("as it corrupts packets")
	case delay > long:
		return might("as it delays packets by %.1f s", float64(delay)/1e9)
	}
	return Outcome{}
}

// handle is a queue's or class's number as tc(8) writes it.
func handle(n uint32) string {
	if n&^major == 0 {
		return fmt.Sprintf("%x:", n>>16)
	}
	return fmt.Sprintf("%x:%x", n>>16, n&^major)
}
