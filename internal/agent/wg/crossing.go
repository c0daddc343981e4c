//go:build linux

package wg

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// Two userspace devices that begin a handshake with each other at once fail one time in
// seven: each answers the other's initiation, forgets its own, and so knows neither answer.
// Nothing passes for five seconds (REKEY_TIMEOUT), or in one direction alone for fifteen,
// where the library takes an answer and an initiation of one peer in two goroutines.
// Therefore only one of two initiations that cross is answered. Both ends see both, so that
// they agree on which one without a word: the one with the lower ephemeral key.

// crossingTime is how long an answer is waited for before an initiation that was held up is
// let go after all: the answer may never come, as where the peer did not know this end's key
// yet. Over a line with a longer round trip it is no worse than without.
const crossingTime = 80 * time.Millisecond

// mostMeetings bounds what strangers' initiations can make this end remember. Of more ends
// than that crossings are not looked for until some are forgotten.
const mostMeetings = 4096

// crossing is a Bind that holds up initiations that cross another and lose.
type crossing struct {
	conn.Bind
	time time.Duration // crossingTime
	late chan arrival  // what was held up in vain

	mu     sync.Mutex
	ends   map[string]*meeting // by conn.Endpoint.DstToString
	swept  time.Time           // when meetings were last forgotten
	closed chan struct{}       // nil while the Bind is closed
}

// meeting is what went to and came from one address within crossingTime.
type meeting struct {
	sent      time.Time // when this end's initiation went out, the zero time for never
	index     uint32    // that of the sender, which the answer repeats
	ephemeral [device.NoisePublicKeySize]byte
	answered  bool      // by the other end
	taken     time.Time // when the device got the other end's initiation
	replied   bool      // by this end
	held      *arrival  // the last initiation that is held up, nil for none
}

// arrival is an initiation that came.
type arrival struct {
	packet []byte
	from   conn.Endpoint
}

func newCrossing(b conn.Bind) *crossing {
	return &crossing{Bind: b, time: crossingTime, late: make(chan arrival), ends: map[string]*meeting{}}
}

// Open adds a receiver of what was held up in vain to those of the Bind below.
func (c *crossing) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	receivers, port, err := c.Bind.Open(port)
	if err != nil {
		return nil, 0, err
	}
	closed := make(chan struct{})
	c.mu.Lock()
	c.closed = closed
	c.mu.Unlock()
	for i, receive := range receivers {
		receivers[i] = func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
			n, err := receive(packets, sizes, from)
			for i := range n {
				if !c.comes(packets[i][:sizes[i]], from[i], closed) {
					sizes[i] = 0
				}
			}
			return n, err
		}
	}
	return append(receivers, func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		select {
		case a := <-c.late:
			sizes[0], from[0] = copy(packets[0], a.packet), a.from
			return 1, nil
		case <-closed:
			return 0, net.ErrClosed
		}
	}), port, nil
}

// Close closes the Bind below and the receiver of what was held up.
func (c *crossing) Close() error {
	c.mu.Lock()
	if c.closed != nil {
		close(c.closed)
		c.closed = nil
	}
	c.mu.Unlock()
	return c.Bind.Close()
}

// Send sends packets. A message of a handshake is alone among them.
func (c *crossing) Send(packets [][]byte, to conn.Endpoint) error {
	if len(packets) == 1 && !c.goes(packets[0], to) {
		return nil
	}
	return c.Bind.Send(packets, to)
}

// goes says whether a packet is to be sent now. An initiation of a device that was just given
// one of the same peer waits: the device may be about to answer that one.
func (c *crossing) goes(packet []byte, to conn.Endpoint) bool {
	kind := messageOf(packet)
	if kind == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.meet(to.DstToString())
	switch {
	case m == nil:
	case kind == device.MessageResponseType:
		m.replied = true
	case !c.recent(m.taken):
		m.begin(packet)
	default:
		if !m.replied {
			packet := bytes.Clone(packet)
			time.AfterFunc(c.time, func() { c.sendLate(packet, to.DstToString(), m) })
		}
		return false
	}
	return true
}

// sendLate sends an initiation that waited, unless the device answered the other end's.
func (c *crossing) sendLate(packet []byte, to string, m *meeting) {
	end, err := c.ParseEndpoint(to)
	if err != nil {
		return // it came from an endpoint
	}
	c.mu.Lock()
	replied := m.replied
	if !replied {
		m.begin(packet)
		c.ends[to] = m
	}
	c.mu.Unlock()
	if !replied {
		_ = c.Bind.Send([][]byte{packet}, end) // lost, as on the line: the device sends another
	}
}

// comes says whether the device gets a packet now. An initiation that crossed one of this end
// and loses is held up until the answer is overdue.
func (c *crossing) comes(packet []byte, from conn.Endpoint, closed chan struct{}) bool {
	kind := messageOf(packet)
	if kind == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.meet(from.DstToString())
	switch {
	case m == nil:
	case kind == device.MessageResponseType:
		m.answered = m.answered || m.index == binary.LittleEndian.Uint32(packet[8:])
	case !c.recent(m.sent) || bytes.Compare(m.ephemeral[:], packet[8:8+len(m.ephemeral)]) > 0:
		m.take()
	default:
		if !m.answered {
			c.hold(m, arrival{packet: bytes.Clone(packet), from: from}, closed)
		}
		return false
	}
	return true
}

// hold keeps an initiation until the answer to this end's is overdue.
func (c *crossing) hold(m *meeting, a arrival, closed chan struct{}) {
	if m.held == nil {
		time.AfterFunc(c.time-time.Since(m.sent), func() { c.giveLate(m, a.from.DstToString(), closed) })
	}
	m.held = &a
}

// giveLate gives the device what was held up, unless this end's initiation was answered.
func (c *crossing) giveLate(m *meeting, from string, closed chan struct{}) {
	c.mu.Lock()
	held := m.held
	m.held = nil
	if m.answered {
		held = nil
	}
	if held != nil {
		m.take()
		c.ends[from] = m
	}
	c.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case c.late <- *held:
	case <-closed:
	}
}

// meet is the meeting with the end at an address, nil where there are too many. Those that are
// over are forgotten.
func (c *crossing) meet(at string) *meeting {
	if !c.recent(c.swept) {
		c.swept = time.Now()
		for at, m := range c.ends {
			if !c.recent(m.sent) && !c.recent(m.taken) {
				delete(c.ends, at)
			}
		}
	}
	m := c.ends[at]
	if m == nil && len(c.ends) < mostMeetings {
		m = &meeting{}
		c.ends[at] = m
	}
	return m
}

func (c *crossing) recent(at time.Time) bool { return time.Since(at) < c.time }

// begin notes an initiation that goes out.
func (m *meeting) begin(packet []byte) {
	m.sent, m.answered = time.Now(), false
	m.index = binary.LittleEndian.Uint32(packet[4:])
	copy(m.ephemeral[:], packet[8:])
}

// take notes that the device gets the other end's initiation.
func (m *meeting) take() { m.taken, m.replied = time.Now(), false }

// messageOf is which of the two messages of a handshake a packet is; 0 for any other (WireGuard
// paper, §5.4).
func messageOf(packet []byte) uint32 {
	var kind uint32
	switch len(packet) {
	case device.MessageInitiationSize:
		kind = device.MessageInitiationType
	case device.MessageResponseSize:
		kind = device.MessageResponseType
	default:
		return 0
	}
	if binary.LittleEndian.Uint32(packet) != kind {
		return 0
	}
	return kind
}
