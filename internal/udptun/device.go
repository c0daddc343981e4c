//go:build linux

package udptun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.zx2c4.com/wireguard/tun"
)

const (
	// headroom is what a write to the TUN device wants free before a packet
	// (virtio_net_hdr).
	headroom  = 16
	mostBatch = 128 // packets
	readBatch = 16  // reads of up to 64 datagrams each
	maxPacket = 65535
)

// Stats counts packets.
type Stats struct {
	Sent, Received uint64
	Strangers      uint64 // datagrams from nobody we know
	Forged         uint64 // packets from addresses that are not the sender's
	Malformed      uint64 // what is no IP packet
	Astray         uint64 // packets to where no member is
	Lost           uint64 // packets that the kernel did not take
}

// Device is a TUN device and the socket that its packets travel by.
type Device struct {
	tun   tun.Device
	table atomic.Pointer[table]
	sock  atomic.Pointer[socket]

	setting sync.Mutex // guards config, closed and changes of table and sock
	config  Config
	closed  bool // Run is over: nothing is opened any more
	readers sync.WaitGroup

	sent, received, strangers, forged, malformed, astray, lost atomic.Uint64
}

// New returns a device that carries nothing until Set. It owns t from now on.
func New(t tun.Device) *Device {
	d := &Device{tun: t}
	d.table.Store(newTable(Config{}))
	return d
}

// Config returns what the device is set to.
func (d *Device) Config() Config {
	d.setting.Lock()
	defer d.setting.Unlock()
	return d.config
}

// Stats returns the counters since New.
func (d *Device) Stats() Stats {
	return Stats{
		Sent: d.sent.Load(), Received: d.received.Load(), Strangers: d.strangers.Load(), Forged: d.forged.Load(),
		Malformed: d.malformed.Load(), Astray: d.astray.Load(), Lost: d.lost.Load(),
	}
}

// Set changes what the device is set to, as a whole, between two packets. Another
// address or port takes another socket; a change of the members alone loses nothing. Once
// Run is over it fails with os.ErrClosed.
func (d *Device) Set(ctx context.Context, c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	d.setting.Lock()
	defer d.setting.Unlock()
	if d.closed {
		return fmt.Errorf("set the UDP device: %w", os.ErrClosed)
	}
	if c.Local != d.config.Local || c.Port != d.config.Port {
		if err := d.rebind(ctx, c); err != nil {
			return err
		}
	}
	d.config = c
	d.table.Store(newTable(c))
	return nil
}

// rebind opens the socket of c in the place of the one there is.
func (d *Device) rebind(ctx context.Context, c Config) error {
	var next *socket
	if c.Local.IsValid() && c.Port != 0 {
		var err error
		if next, err = listen(ctx, c.Local, c.Port); err != nil {
			return err
		}
		d.readers.Add(1)
		go func() {
			defer d.readers.Done()
			d.incoming(next)
		}()
	}
	return d.sock.Swap(next).close()
}

// Run carries packets until ctx ends or the TUN device is gone. The device cannot
// be used again.
func (d *Device) Run(ctx context.Context) error {
	go func() {
		for range d.tun.Events() { // they say nothing that the packets do not
		}
	}()
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed = d.outgoing()
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	}
	err := errors.Join(d.tun.Close(), d.close())
	<-ended
	d.readers.Wait()
	return errors.Join(failed, err)
}

// close closes the socket, and what Set would open from now on.
func (d *Device) close() error {
	d.setting.Lock()
	defer d.setting.Unlock()
	d.closed = true
	return d.sock.Swap(nil).close()
}

// outgoing carries packets from the TUN device to the members.
func (d *Device) outgoing() error {
	batch := d.tun.BatchSize()
	bufs, sizes := buffers(batch), make([]int, batch)
	p := newPacker(batch)
	for {
		n, err := d.tun.Read(bufs, sizes, headroom)
		if err != nil && !errors.Is(err, tun.ErrTooManySegments) {
			if errors.Is(err, os.ErrClosed) { // by us, or the device was deleted
				return nil
			}
			return fmt.Errorf("read from the TUN device: %w", err)
		}
		s := d.sock.Load()
		p.begin(s != nil && s.segments.Load())
		for i := range n {
			d.pack(p, bufs[i][headroom:headroom+sizes[i]])
		}
		if s == nil {
			d.lost.Add(uint64(datagrams(p.list)))
			continue
		}
		lost := s.send(p.finish())
		d.lost.Add(uint64(lost))
		d.sent.Add(uint64(datagrams(p.list) - lost))
	}
}

func buffers(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, headroom+maxPacket)
	}
	return out
}

// pack adds a packet of ours to the messages of a batch.
func (d *Device) pack(p *packer, packet []byte) {
	_, dst, length, ok := parse(packet)
	if !ok {
		d.malformed.Add(1)
		return
	}
	to := d.table.Load().behind(dst)
	if to == nil {
		d.astray.Add(1)
		return
	}
	p.add(to, packet[:length])
}

// packer gathers packets to messages, those to one member in one where the kernel
// cuts them apart again: they must have one length, the last one aside.
type packer struct {
	list     []ipv4.Message
	to       []*member
	segments bool
	size     int // of all datagrams in the last message but the last
	total    int // bytes in the last message
	open     bool
	control  [][]byte
}

func newPacker(batch int) *packer {
	p := &packer{control: make([][]byte, batch)}
	for i := range p.control {
		p.control[i] = make([]byte, 64)
	}
	return p
}

func (p *packer) begin(segments bool) {
	p.list, p.to, p.segments, p.open = p.list[:0], p.to[:0], segments, false
}

func (p *packer) add(to *member, packet []byte) {
	last := len(p.list) - 1
	if p.open && p.to[last] == to && len(packet) <= p.size && len(p.list[last].Buffers) < mostSegments && p.total+len(packet) <= mostBytes {
		p.list[last].Buffers = append(p.list[last].Buffers, packet)
		p.total += len(packet)
		p.open = len(packet) == p.size
		return
	}
	// The slice's old messages lend their buffers' lists.
	if last++; last < cap(p.list) {
		p.list = p.list[:last+1]
	} else {
		p.list = append(p.list, ipv4.Message{})
	}
	m := &p.list[last]
	m.Buffers, m.OOB, m.Addr = append(m.Buffers[:0], packet), nil, to.udp
	p.to = append(p.to, to)
	p.size, p.total, p.open = len(packet), len(packet), p.segments
}

// finish returns the messages, ready to be sent.
func (p *packer) finish() []ipv4.Message {
	for i := range p.list {
		if m := &p.list[i]; len(m.Buffers) > 1 {
			m.OOB = segmentControl(p.control[i], len(m.Buffers[0]))
		}
	}
	return p.list
}

// incoming carries packets from s to the TUN device until s is closed.
func (d *Device) incoming(s *socket) {
	list := make([]ipv4.Message, readBatch)
	for i := range list {
		list[i].Buffers, list[i].OOB = [][]byte{make([]byte, maxPacket)}, make([]byte, 128)
	}
	out := &writer{d: d, bufs: buffers(d.tun.BatchSize())}
	for {
		n, err := s.batch.ReadBatch(list, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one datagram: an ICMP error that came for it
		}
		t := d.table.Load()
		for _, m := range list[:n] {
			d.unpack(t, out, m)
		}
		out.flush()
	}
}

// unpack takes what one read brought, one or many datagrams of one sender, apart.
func (d *Device) unpack(t *table, out *writer, m ipv4.Message) {
	whole := m.Buffers[0][:m.N]
	size := segmentSize(m.OOB[:m.NN], len(whole))
	var from *member
	if a, ok := m.Addr.(*net.UDPAddr); ok {
		from = t.sender(a.AddrPort())
	}
	for len(whole) > 0 {
		datagram := whole[:min(size, len(whole))]
		whole = whole[len(datagram):]
		if from == nil {
			d.strangers.Add(1)
			continue
		}
		src, _, length, ok := parse(datagram)
		switch {
		case !ok:
			d.malformed.Add(1)
		case t.behind(src) != from:
			d.forged.Add(1)
		default:
			out.add(datagram[:length])
		}
	}
}

// writer gathers packets for the TUN device.
type writer struct {
	d    *Device
	bufs [][]byte
	n    int
}

func (w *writer) add(packet []byte) {
	w.bufs[w.n] = append(w.bufs[w.n][:headroom], packet...)
	if w.n++; w.n == len(w.bufs) {
		w.flush()
	}
}

func (w *writer) flush() {
	if w.n == 0 {
		return
	}
	if _, err := w.d.tun.Write(w.bufs[:w.n], headroom); err != nil {
		w.d.lost.Add(uint64(w.n)) // the device is down, or some of it too long for it
	} else {
		w.d.received.Add(uint64(w.n))
	}
	w.n = 0
}
