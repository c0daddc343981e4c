//go:build linux

package wg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// end is one end of a tunnel over loopback.
type end struct {
	dev   *device.Device
	link  *tuntest.ChannelTUN
	key   wgtypes.Key
	port  string
	addr  netip.Addr
	begun atomic.Int32 // initiations sent
}

// counting is a Bind that counts initiations.
type counting struct {
	conn.Bind
	begun *atomic.Int32
}

func (c counting) Send(packets [][]byte, to conn.Endpoint) error {
	for _, p := range packets {
		if messageOf(p) == device.MessageInitiationType {
			c.begun.Add(1)
		}
	}
	return c.Bind.Send(packets, to)
}

func newEnd(t *testing.T, addr string) *end {
	t.Helper()
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	e := &end{link: tuntest.NewChannelTUN(), key: key, addr: netip.MustParseAddr(addr)}
	bind := newCrossing(counting{conn.NewDefaultBind(), &e.begun})
	bind.time = 4 * time.Second // as long as a busy machine takes, and shorter than REKEY_TIMEOUT
	e.dev = device.NewDevice(e.link.TUN(), bind, &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	if err := e.dev.IpcSet(fmt.Sprintf("private_key=%x\nlisten_port=0\n", key[:])); err != nil {
		t.Fatal(err)
	}
	if err := e.dev.Up(); err != nil {
		t.Fatal(err)
	}
	text, err := e.dev.IpcGet()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if port, found := strings.CutPrefix(line, "listen_port="); found {
			e.port = strings.TrimSpace(port)
		}
	}
	return e
}

// meet makes o a peer of e.
func (e *end) meet(t *testing.T, o *end) {
	t.Helper()
	public := o.key.PublicKey()
	if err := e.dev.IpcSet(fmt.Sprintf("public_key=%x\nendpoint=127.0.0.1:%s\nallowed_ip=%s/32\n", public[:], o.port, o.addr)); err != nil {
		t.Fatal(err)
	}
}

// TestHandshakesThatCross: two devices that send at once get through with the handshakes they
// began first, in both directions. Without a tie-break one in seven does not.
func TestHandshakesThatCross(t *testing.T) {
	for round := range 60 {
		a, b := newEnd(t, "10.0.0.1"), newEnd(t, "10.0.0.2")
		a.meet(t, b)
		b.meet(t, a)
		for _, way := range [][2]*end{{a, b}, {b, a}} {
			go func() { way[0].link.Outbound <- tuntest.Ping(way[1].addr, way[0].addr) }()
		}
		for _, e := range []*end{a, b} {
			select {
			case <-e.link.Inbound:
			case <-time.After(time.Minute):
				t.Errorf("round %d: %s heard nothing", round, e.addr)
			}
		}
		if n, m := a.begun.Load(), b.begun.Load(); n > 1 || m > 1 {
			t.Errorf("round %d: %d and %d initiations, not one an end", round, n, m)
		}
		a.dev.Close()
		b.dev.Close()
		if t.Failed() {
			return
		}
	}
}

// wire is a Bind that keeps what is sent, and receives what a test gives it.
type wire struct {
	conn.Bind // of loopback, for its endpoints
	sent      chan []byte
	came      chan []byte
	from      conn.Endpoint
}

func (w *wire) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	return []conn.ReceiveFunc{func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		p, open := <-w.came
		if !open {
			return 0, net.ErrClosed
		}
		sizes[0], from[0] = copy(packets[0], p), w.from
		return 1, nil
	}}, 1, nil
}

func (w *wire) Close() error { close(w.came); return nil }

func (w *wire) Send(packets [][]byte, _ conn.Endpoint) error {
	for _, p := range packets {
		w.sent <- p
	}
	return nil
}

// rig is a crossing between a wire and a device of which a test sees what it gets.
type rig struct {
	*crossing
	w   *wire
	got chan []byte
	n   int // messages made
}

func newRig(t *testing.T, wait time.Duration) *rig {
	t.Helper()
	w := &wire{Bind: conn.NewDefaultBind(), sent: make(chan []byte, 9), came: make(chan []byte)}
	r := &rig{crossing: newCrossing(w), w: w, got: make(chan []byte, 9)}
	r.time = wait
	var err error
	if w.from, err = w.ParseEndpoint("127.0.0.1:51820"); err != nil {
		t.Fatal(err)
	}
	receivers, _, err := r.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, receive := range receivers {
		go func() {
			for {
				packet, sizes, from := make([]byte, 1500), []int{0}, make([]conn.Endpoint, 1)
				if _, err := receive([][]byte{packet}, sizes, from); errors.Is(err, net.ErrClosed) {
					return
				}
				r.got <- packet[:sizes[0]]
			}
		}()
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// initiation has an ephemeral key that begins with first.
func (r *rig) initiation(first byte) []byte {
	r.n++
	p := make([]byte, device.MessageInitiationSize)
	p[0], p[4], p[8] = device.MessageInitiationType, byte(r.n), first
	return p
}

// response answers an initiation.
func (r *rig) response(to []byte) []byte {
	p := make([]byte, device.MessageResponseSize)
	p[0] = device.MessageResponseType
	binary.LittleEndian.PutUint32(p[8:], binary.LittleEndian.Uint32(to[4:]))
	return p
}

// comes gives the crossing a packet and says whether the device got it at once.
func (r *rig) comes(p []byte) bool {
	r.w.came <- p
	return len(<-r.got) > 0
}

// goes sends a packet of the device and says whether it was sent at once.
func (r *rig) goes(t *testing.T, p []byte) bool {
	t.Helper()
	if err := r.Send([][]byte{p}, r.w.from); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.w.sent:
		return true
	default:
		return false
	}
}

// await is the next packet of a channel, or none.
func await(t *testing.T, from chan []byte) []byte {
	t.Helper()
	select {
	case p := <-from:
		return p
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		return nil
	}
}

func TestTheLowerEphemeralKeyWins(t *testing.T) {
	r := newRig(t, time.Hour)
	if !r.goes(t, r.initiation(5)) || r.comes(r.initiation(7)) || !r.comes(r.initiation(3)) {
		t.Error("of initiations that cross the one with the lower key must be taken, and no other")
	}
}

// TestUnansweredInitiationsGiveWay: what was held up comes, if late, where no answer does, and
// so goes what waited for a reply of the device.
func TestUnansweredInitiationsGiveWay(t *testing.T) {
	for range 100 { // a busy machine may let the time pass between two lines
		r := newRig(t, 50*time.Millisecond)
		r.goes(t, r.initiation(5))
		if r.comes(r.initiation(7)) {
			continue
		}
		if p := await(t, r.got); p[8] != 7 {
			t.Errorf("got % x, not what was held up", p)
		}
		if r.goes(t, r.initiation(6)) {
			continue
		}
		if p := await(t, r.w.sent); p[8] != 6 {
			t.Errorf("sent % x, not what waited", p)
		}
		return
	}
	t.Error("nothing was held up")
}

// TestAnsweredInitiationsStand: what lost is never given to a device whose initiation was answered.
func TestAnsweredInitiationsStand(t *testing.T) {
	r := newRig(t, time.Hour)
	mine := r.initiation(5)
	r.goes(t, mine)
	if r.comes(r.initiation(7)) || !r.comes(r.response(mine)) || r.comes(r.initiation(7)) {
		t.Error("an answered initiation must stand")
	}
	m := r.meet(r.w.from.DstToString())
	r.giveLate(m, r.w.from.DstToString(), r.closed) // what the clock does
	if len(r.got) > 0 || m.held != nil {
		t.Error("what lost was given to the device all the same")
	}
	if !r.goes(t, r.initiation(5)) || r.comes(r.initiation(7)) {
		t.Error("the next handshake must begin anew")
	}
}

// TestAnswersOfOthersCountNot: an answer must repeat the index of the initiation.
func TestAnswersOfOthersCountNot(t *testing.T) {
	r := newRig(t, time.Hour)
	r.goes(t, r.initiation(5))
	r.comes(r.response(r.initiation(9)))
	if m := r.meet(r.w.from.DstToString()); m.answered {
		t.Error("an answer to another initiation counted")
	}
}

// TestInitiationsWaitForTheReply: a device that was just given an initiation sends its own only
// if it does not reply to that.
func TestInitiationsWaitForTheReply(t *testing.T) {
	r := newRig(t, time.Hour)
	theirs, mine := r.initiation(7), r.initiation(5)
	if !r.comes(theirs) || r.goes(t, mine) {
		t.Fatal("an initiation must wait while one that came is with the device")
	}
	m := r.meet(r.w.from.DstToString())
	r.sendLate(mine, r.w.from.DstToString(), m)
	if p := await(t, r.w.sent); p[8] != 5 {
		t.Errorf("sent % x, not the initiation that waited", p)
	}
	if !r.goes(t, r.response(theirs)) {
		t.Error("a reply must go at once")
	}
	r.sendLate(mine, r.w.from.DstToString(), m)
	if len(r.w.sent) > 0 {
		t.Error("an initiation was sent though the device had replied")
	}
}

// TestMeetingsAreForgotten: strangers' initiations cost no more than so much memory.
func TestMeetingsAreForgotten(t *testing.T) {
	r := newRig(t, time.Hour)
	for i := range 2 * mostMeetings {
		from, err := r.ParseEndpoint("127.0.0.2:" + strconv.Itoa(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if !r.crossing.comes(r.initiation(1), from, r.closed) {
			t.Fatal("a stranger's initiation was held up")
		}
	}
	if n := len(r.ends); n != mostMeetings {
		t.Errorf("%d meetings, not %d", n, mostMeetings)
	}
	r.time = 0
	if r.meet("127.0.0.3:1"); len(r.ends) != 1 {
		t.Errorf("%d meetings that are over", len(r.ends)-1)
	}
}
