package capture

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// handed is a packet as an agent hands it over.
func handed(at time.Time, flags, tag uint16, bytes []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(bytes)+10))
	b = binary.BigEndian.AppendUint32(b, uint32(len(bytes)))
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, tag), flags)
	return append(b, bytes...)
}

func answered(data ...[]byte) *spec.CaptureReply {
	return &spec.CaptureReply{Data: base64.StdEncoding.EncodeToString(slices.Concat(data...))}
}

// A clock that is an hour ahead is corrected, and one that differs by less than the way takes
// is not: the packets of both get in the order in which they were.
func TestClocks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for _, test := range []struct{ ahead, want time.Duration }{
		{time.Hour, time.Hour}, {-2 * time.Second, -2 * time.Second}, {3 * time.Millisecond, 0}, {0, 0},
	} {
		var c Clocks
		for _, way := range []time.Duration{80 * time.Millisecond, 10 * time.Millisecond, 300 * time.Millisecond} {
			got := now.Add(way + time.Second)
			c.Heard(now, got, &spec.CaptureReply{Clock: got.Add(test.ahead - way/2).UnixNano(), Took: time.Second})
		}
		if have := c.Skew(); have != test.want {
			t.Errorf("%s ahead: %s", test.ahead, have)
		}
	}
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 123)
	frame := make([]byte, 60)
	frame[12], frame[13] = 8, 6
	whole := handed(at, spec.CaptureOut|spec.CaptureVLAN, 7, frame)
	list, err := Unpack(3, Source{Ethernet: true, Skew: time.Second}, answered(whole, handed(at, 0, 0, nil)))
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	p := list[0]
	if p.Point != 3 || !p.Out || !p.Time.Equal(at.Add(-time.Second)) || p.Length != 74 || len(p.Bytes) != 64 || string(p.Bytes[12:18]) != "\x81\x00\x00\x07\x08\x06" {
		t.Errorf("%+v", p)
	}
	if list, err = Unpack(0, Source{Ethernet: true}, answered(handed(at, spec.CaptureVLAN|spec.CaptureService, 7, frame))); err != nil || string(list[0].Bytes[12:18]) != "\x88\xa8\x00\x07\x08\x06" {
		t.Errorf("a service's tag: %v %v", list, err)
	}
	if _, err := Unpack(0, Source{Ethernet: true, Snap: 59}, answered(whole)); err == nil {
		t.Error("a packet is longer than was asked for")
	}
	late := answered(whole)
	late.Clock = at.Add(-time.Hour).UnixNano()
	if _, err := Unpack(0, Source{Ethernet: true, Snap: 60}, late); !errors.Is(err, errClock) {
		t.Errorf("a packet from an hour after its answer: %v", err)
	}
	for cut := 1; cut < len(whole); cut++ {
		if _, err := Unpack(0, Source{Ethernet: true}, answered(whole[:cut])); err == nil {
			t.Fatalf("%d of %d bytes are packets, too", cut, len(whole))
		}
	}
	if _, err := Unpack(0, Source{}, &spec.CaptureReply{Data: "?"}); err == nil {
		t.Error("what is no base64 is packets, too")
	}
}

// What servers hand over in pieces comes out in the order of time, and none before one that may
// still come.
func TestMerger(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	packet := func(point, ms int) Packet { return Packet{Point: point, Time: after(ms)} }
	o := NewMerger(after(5), 0, 1)
	var have []int
	next := func() {
		for _, p := range o.Next() {
			have = append(have, int(p.Time.Sub(start).Milliseconds()))
		}
	}
	o.Add(0, []Packet{packet(0, 4), packet(0, 10), packet(0, 30)}, after(100))
	next()
	if len(have) != 0 {
		t.Fatalf("%v came out before the other server said a word", have)
	}
	o.Add(1, []Packet{packet(1, 20), packet(1, 15)}, after(35))
	next()
	if want := []int{10, 15, 20}; !slices.Equal(have, want) {
		t.Fatalf("%v", have)
	}
	o.Add(1, []Packet{packet(1, 40)}, after(100))
	next()
	if want := []int{10, 15, 20, 30, 40}; !slices.Equal(have, want) {
		t.Fatalf("%v", have)
	}
	// One that is silent is waited for, but not forever; one that left, not at all.
	o.Add(0, []Packet{packet(0, 3000)}, after(5000))
	next()
	if have[len(have)-1] != 40 {
		// 5000 - patience = 3000, less what settles
		t.Fatalf("%v", have)
	}
	o.Add(0, nil, after(6000))
	next()
	o.Add(0, []Packet{packet(0, 6100)}, after(6200))
	o.Leave(1, true)
	next()
	o.Leave(0, false)
	next()
	if want := []int{10, 15, 20, 30, 40, 3000, 6100}; !slices.Equal(have, want) {
		t.Fatalf("%v", have)
	}
}

// At the end nothing is later than what is known of every server: one that failed has no say in
// that, and one that tells of no time takes nothing away from the others.
func TestMergerEnd(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		until  [2]int
		failed bool
		want   int
	}{
		{[2]int{9000, 8995}, false, 2}, {[2]int{8995, 9000}, false, 2}, {[2]int{9000, 8000}, true, 3}, {[2]int{9000, 0}, false, 1},
	} {
		o := NewMerger(start, 0, 1)
		o.Add(0, []Packet{{Time: after(1)}, {Time: after(8994)}, {Time: after(8998)}}, after(test.until[0]))
		o.Add(1, nil, after(test.until[1]))
		have := len(o.Next())
		o.Leave(1, test.failed)
		have += len(o.Next())
		o.Leave(0, false)
		if have += len(o.Rest()); have != test.want {
			t.Errorf("%+v: %d packets", test, have)
		}
	}
}

// A server that never says up to when its packets are there does not fill the memory.
func TestMergerHolds(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	o, large, out := NewMerger(start, 0), make([]byte, mostHeld/8), 0
	for i := range 20 {
		o.Add(0, []Packet{{Time: start.Add(time.Duration(i)), Bytes: large}}, start)
		out += len(o.Next())
	}
	if out != 13 || len(o.held) != 7 || o.bytes != 7*(len(large)+100) {
		t.Errorf("%d packets came out, %d stay, of %d bytes", out, len(o.held), o.bytes)
	}
}

// Clocks that can be the same are taken for the same; one that cannot has a measurement of its own.
func TestAgree(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	sources := map[int]Source{}
	for i, c := range []Clocks{{10 * ms, 5000 * ms, true}, {10 * ms, 5004 * ms, true}, {2 * ms, 5002 * ms, true}, {4 * ms, -time.Hour, true}} {
		sources[i] = Source{Skew: c.Skew(), clocks: c}
	}
	Agree(sources)
	for i, want := range []time.Duration{5002 * ms, 5002 * ms, 5002 * ms, -time.Hour} {
		if have := sources[i].Skew; have != want {
			t.Errorf("%d is ahead by %s", i, have)
		}
	}
	sources = map[int]Source{0: {Skew: 2 * ms, clocks: Clocks{ms, 2 * ms, true}}, 1: {clocks: Clocks{100 * ms, ms, true}}}
	Agree(sources)
	if sources[0].Skew != 0 || sources[1].Skew != 0 {
		t.Errorf("%+v", sources)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(handed(time.Unix(1, 0), spec.CaptureVLAN, 7, make([]byte, 60)))
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, s := range []Source{{}, {Ethernet: true}} {
			list, _ := Unpack(0, s, answered(data))
			for _, p := range list {
				_ = p.Text(s)
			}
		}
	})
}
