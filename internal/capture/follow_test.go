package capture

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// A buffer holds more than an answer does: at the end all of it comes, and what the kernel lost
// before the beginning is not counted.
func TestCollectTakesAll(t *testing.T) {
	t.Parallel()
	const answers = 9
	began := time.Now()
	n := 0
	ask := func(*spec.CaptureRequest) (*spec.CaptureReply, error) {
		now := time.Now()
		n++
		at := now
		if n < answers {
			at = began.Add(time.Duration(n)) // a full answer: later ones are in the buffer
		}
		r := answered(handed(at, 0, 0, make([]byte, 60)))
		r.Clock, r.Until, r.Lost = now.UnixNano(), at.UnixNano(), 10+n
		return r, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	got := 0
	var last Taken
	Collect(ctx, 0, map[int]Source{0: {lost: 10}}, func(context.Context, int) Ask { return ask }, func(g Taken) bool {
		got += len(g.Packets)
		last = g
		return true
	})
	if got != answers || !last.Last || last.Err != nil || last.Lost != answers {
		t.Errorf("%d packets, %+v", got, last)
	}
	n = 0
	Collect(t.Context(), 0, map[int]Source{0: {}}, func(context.Context, int) Ask { return ask }, func(Taken) bool { return false })
	if n > 3 {
		t.Errorf("a full capture asked %d times more", n)
	}
}

// What came while other servers had not begun is fetched before the beginning.
func TestReady(t *testing.T) {
	t.Parallel()
	n := 0
	s, err := Ready(Source{}, func(*spec.CaptureRequest) (*spec.CaptureReply, error) {
		n++
		now := time.Now()
		r := answered(handed(now, 0, 0, nil))
		if r.Clock, r.Until, r.Lost = now.UnixNano(), now.UnixNano(), 7*n; n < 4 {
			r.Until -= int64(time.Hour)
		}
		return r, nil
	})
	if err != nil || n != 4 || s.lost != 28 {
		t.Errorf("%d answers, %+v, %v", n, s, err)
	}
}

// A server's own word of the time puts nobody's packets out of order.
func TestUntil(t *testing.T) {
	t.Parallel()
	now := time.Now()
	hour := now.Add(time.Hour).UnixNano()
	if have, err := (Source{}).until(&spec.CaptureReply{Until: hour, Clock: now.UnixNano()}, now); err != nil || have.After(now) {
		t.Errorf("%s %v", have, err)
	}
	if _, err := (Source{}).until(&spec.CaptureReply{Until: hour, Clock: hour}, now); !errors.Is(err, errClock) {
		t.Errorf("%v", err)
	}
}

// A server that is lost is named at once; the bound counts what a file has.
func TestSink(t *testing.T) {
	t.Parallel()
	var gone []string
	var out strings.Builder
	s := &Sink{
		Points: []Point{{Server: "s1", Device: "vxl0"}, {Server: "s2", Device: "vxl0"}, {Server: "s3", Device: "vxl0"}}, Bytes: 100, Snap: 10, File: &out,
		Gone: func(err error) { gone = append(gone, err.Error()) },
	}
	if says, err := s.Begin(map[int]Source{0: {}, 1: {}}, map[int]error{2: errors.New("away")}, 0); err != nil || !strings.HasPrefix(says, "capturing on s1:vxl0, s2:vxl0;") || len(gone) != 1 {
		t.Fatal(says, err, gone)
	}
	s.Take(Taken{Point: 1, Last: true, Err: errors.New("network is down")})
	if len(gone) != 2 || gone[1] != "vxl0: network is down" {
		t.Errorf("%q", gone)
	}
	at := time.Now().Add(time.Millisecond)
	more := true
	for i := 0; more; i++ {
		if i > 3 {
			t.Fatal("packets without bytes never fill a file")
		}
		more = s.Take(Taken{Packets: []Packet{{Time: at}}, Until: at.Add(time.Second), Lost: 3})
	}
	says, lossy, err := s.End()
	if !lossy || err != nil || !strings.Contains(says, "3 packets, 0 bytes") || !strings.HasSuffix(says, "no room for 3 on s1:vxl0") {
		t.Error(says, lossy, err)
	}
}
