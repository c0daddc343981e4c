//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// slowProber answers when it was asked a number of times, and a while after that.
type slowProber struct {
	times int
	after time.Duration
	asked int
	last  time.Time
}

func (s *slowProber) ask(spec.Probe) error {
	s.asked++
	s.last = time.Now()
	return nil
}

func (s *slowProber) heard(spec.Probe) (bool, error) {
	return s.asked >= s.times && time.Since(s.last) >= s.after, nil
}

func (*slowProber) sends() bool { return true }
func (*slowProber) close()      {}

// TestLastAnswerCounts: an answer to the last request counts, also when it comes at the end of
// the time for it; one that comes never does not.
func TestLastAnswerCounts(t *testing.T) {
	t.Parallel()
	last := rounds()[len(rounds())-1]
	for _, test := range []struct {
		times, left int
	}{{1, 0}, {len(rounds()), 0}, {len(rounds()) + 1, 1}} {
		p := &slowProber{times: test.times, after: min(last, rounds()[min(test.times, len(rounds()))-1])}
		left, err := awaitAnswers(context.Background(), make([]spec.Probe, 1), func(spec.Probe) prober { return p }, NewPace())
		if err != nil || len(left) != test.left {
			t.Errorf("answered when asked %d times: want %d unheard, have %d, %v", test.times, test.left, len(left), err)
		}
		if want := min(test.times, len(rounds())); p.asked != want {
			t.Errorf("asked %d times, want %d", p.asked, want)
		}
	}
}

// TestWhatAProbeTakes: who answers at once is waited for as long as the answer takes, which costs a change
// 300 ms at most as long as it comes to one of the first four requests; who never answers costs 1.3 s, and all
// that are asked together cost no more than one. Time is the test's own: nobody else's work counts.
func TestWhatAProbeTakes(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, test := range []struct {
		name  string
		after []time.Duration // of each, when its answer comes, from its first request on; 0: never
		want  time.Duration   // at most, a look after that
		left  int
	}{
		{"at once", []time.Duration{ms}, 5 * ms, 0},
		{"a line of 100 ms", []time.Duration{100 * ms}, 105 * ms, 0},
		{"twenty at once", slices.Repeat([]time.Duration{30 * ms}, 20), 35 * ms, 0},
		{"the last of the first four", []time.Duration{2 * ms, 300 * ms}, 300 * ms, 0},
		{"a device that takes a second", []time.Duration{ms, time.Second}, 1005 * ms, 0},
		{"never", []time.Duration{0}, 1300 * ms, 1},
		{"several never", []time.Duration{0, ms, 0, 0}, 1300 * ms, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			probes, probers := make([]spec.Probe, len(test.after)), map[string]*timedProber{}
			for i, after := range test.after {
				probes[i].Link = string(rune('a' + i))
				probers[probes[i].Link] = &timedProber{at: began.Add(after), never: after == 0}
			}
			left, err := awaitAnswers(t.Context(), probes, func(p spec.Probe) prober { return probers[p.Link] }, NewPace())
			if took := time.Since(began); err != nil || took > test.want || len(left) != test.left {
				t.Errorf("%s: took %v, at most %v is wanted, %d are silent, %v", test.name, took, test.want, len(left), err)
			}
			for _, p := range probers {
				if p.never && p.asked != len(rounds()) {
					t.Errorf("%s: who is silent was asked %d times", test.name, p.asked)
				}
			}
		})
	}
}

// timedProber hears an answer from a time on, or never.
type timedProber struct {
	at    time.Time
	never bool
	asked int
}

func (p *timedProber) ask(spec.Probe) error { p.asked++; return nil }
func (p *timedProber) heard(spec.Probe) (bool, error) {
	return !p.never && !time.Now().Before(p.at), nil
}
func (*timedProber) sends() bool { return true }
func (*timedProber) close()      {}

// TestHearLooksOnceMore: what came while this process stood still, past the time for it, counts.
func TestHearLooksOnceMore(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("127.0.0.1")
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.As4()}); err != nil {
		t.Fatal(err)
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 84) // as raw(7) hands it out: the IPv4 header comes first
	reply[0] = 0x45
	binary.BigEndian.PutUint16(reply[24:], 7)
	if err := unix.Sendto(fd, reply, 0, own); err != nil {
		t.Fatal(err)
	}
	m := &measure{
		ways: []way{{Echoed: spec.Echoed{Echo: spec.Echo{From: at, To: at}}}}, sockets: map[netip.Addr]int{at: fd},
		sent: []request{{size: len(reply), at: time.Now()}}, left: 1, callers: map[netip.Addr]bool{}, id: 7,
	}
	if err := m.hear(t.Context(), time.Now().Add(-time.Second), false); err != nil || len(m.ways[0].trips) != 1 {
		t.Errorf("want the answer that is there, have %v, %v", m.ways[0].trips, err)
	}
}

// TestWhatLosesIsTriedAgain: the second look alone counts where the first one lost something.
func TestWhatLosesIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := &measure{sockets: map[netip.Addr]int{}, callers: map[netip.Addr]bool{}, ways: make([]way, 2)}
	at := netip.MustParseAddr("127.0.0.1")
	for i := range m.ways {
		m.ways[i].Echo = spec.Echo{From: at, To: at}
	}
	if err := m.roundTrips(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	sent := []int{m.ways[0].Sent, m.ways[1].Sent, len(m.sent)}
	if want := []int{againTimes, againTimes, 2 * (echoTimes + againTimes)}; !slices.Equal(sent, want) {
		t.Errorf("want %v requests of both and in all, have %v", want, sent)
	}
	// An answer to the first look is none to the second.
	m.note(echoReply(m.id, 0), at, at, 84, time.Now())
	m.note(echoReply(m.id, len(m.sent)-1), at, at, 84, time.Now())
	if have := len(m.ways[0].trips) + len(m.ways[1].trips); have != 0 {
		t.Errorf("requests that could not be sent have no answer, have %d", have)
	}
	first, last := &m.sent[0], &m.sent[len(m.sent)-1]
	first.answered, last.answered = false, false
	m.note(echoReply(m.id, 0), at, at, 84, time.Now())
	m.note(echoReply(m.id, len(m.sent)-1), at, at, 84, time.Now())
	if len(m.ways[first.way].trips) != 0 || len(m.ways[last.way].trips) != 1 {
		t.Errorf("want the trip of the second look alone, have %v and %v", m.ways[0].trips, m.ways[1].trips)
	}
}

// TestWhatIsMeasuredCounts: there is no second look where it was said how often to try.
func TestWhatIsMeasuredCounts(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("127.0.0.1")
	m := &measure{sockets: map[netip.Addr]int{}, callers: map[netip.Addr]bool{}, ways: []way{{Echoed: spec.Echoed{Echo: spec.Echo{From: at, To: at}}}}}
	if err := m.roundTrips(t.Context(), 7); err != nil || m.ways[0].Sent != 7 || len(m.sent) != 7 {
		t.Errorf("sent %d, %d in all: %v", m.ways[0].Sent, len(m.sent), err)
	}
	for _, test := range []struct{ of, percent, want int }{{1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {5, 50, 3}, {5, 90, 5}, {10, 90, 9}, {100, 50, 50}, {100, 90, 90}, {100, 99, 99}, {101, 99, 100}} {
		var trips []int
		for i := range test.of {
			trips = append(trips, i+1)
		}
		if have := rank(trips, test.percent); have != time.Duration(test.want) {
			t.Errorf("%d of a hundred among %d do not exceed the one at %d, have %d", test.percent, test.of, test.want, have)
		}
	}
}

func echoReply(id uint16, number int) []byte {
	p := make([]byte, 64)
	p[0] = echoReply4
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint16(p[6:], uint16(number)) //nolint:gosec // small
	return p
}
