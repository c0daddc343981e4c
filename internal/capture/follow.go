package capture

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

const (
	gatherFor  = 200 * time.Millisecond // packets for one answer
	clockReads = 4                      // answers by which a server's clock is measured
	lastAnswer = 3 * time.Second        // for the last packets of a capture
	readyReads = 32                     // answers at most that empty a buffer before the beginning
)

// Ask sends a request to a point's server.
type Ask func(*spec.CaptureRequest) (*spec.CaptureReply, error)

// Taken is what came from a point.
type Taken struct {
	Point   int
	Packets []Packet
	Until   time.Time // earlier packets of the point are here or were before
	Lost    int       // packets that the kernel had no room for since the beginning, so far
	Last    bool      // nothing more comes from it
	Err     error     // because of this; nil: the capture is over
}

// Begin has a point's server take packets, and measures its clock.
func Begin(p Point, ask Ask) (s Source, err error) {
	var clocks Clocks
	s.Snap = p.Snap
	r := &spec.CaptureRequest{Device: p.Device, Frames: p.Frames, Packets: p.Packets}
	for range clockReads {
		sent := time.Now()
		reply, err := ask(r)
		if err != nil {
			return s, err
		}
		clocks.Heard(sent, time.Now(), reply)
		s.Ethernet, r = reply.Ethernet, &spec.CaptureRequest{}
	}
	s.Skew, s.clocks = clocks.Skew(), clocks
	return s, nil
}

// Ready is called when all servers have begun: it empties a point's buffer of the packets that
// came while others had not begun. What its kernel had no room for until then was not asked for.
func Ready(s Source, ask Ask) (Source, error) {
	var d drain
	for range readyReads {
		reply, err := ask(&spec.CaptureRequest{})
		if err != nil {
			return s, err
		}
		if s.lost = reply.Lost; d.empty(reply) {
			break
		}
	}
	return s, nil
}

// drain finds out when a server has handed over all that came before it was first asked: an
// answer holds less than a buffer does.
type drain struct {
	asked int64 // when that was, by the server's clock
	known bool
}

func (d *drain) empty(r *spec.CaptureReply) bool {
	if !d.known {
		d.known, d.asked = true, r.Clock-r.Took.Nanoseconds()
	}
	return r.Data == "" || r.Until >= d.asked
}

// mostAhead is how far a clock may get ahead of the workstation's after it was measured.
const mostAhead = time.Minute

// until is the time by the workstation's clock, not after now, before which all packets are in an
// answer. The error is that the server's clock was set since it was measured.
func (s Source) until(r *spec.CaptureReply, now time.Time) (time.Time, error) {
	if time.Unix(0, r.Clock).Add(-s.Skew).After(now.Add(mostAhead + s.clocks.least)) {
		return time.Time{}, errClock
	}
	until := time.Unix(0, min(r.Until, r.Clock)).Add(-s.Skew)
	if until.After(now) {
		until = now.Round(0)
	}
	return until, nil
}

// Collect calls take with what comes from sources, until that is false, ctx ends, or within is
// over; 0: it never is. An interrupt ends the capture in good order: what servers have still comes.
func Collect(ctx context.Context, within time.Duration, sources map[int]Source, asker func(context.Context, int) Ask, take func(Taken) bool) {
	over, stop := context.WithCancel(ctx)
	if within > 0 {
		over, stop = context.WithTimeout(ctx, within)
	}
	defer stop()
	asking, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abandon(nil)
	defer context.AfterFunc(over, func() { time.AfterFunc(lastAnswer, func() { abandon(errLate) }) })()
	var full atomic.Bool // no more packets are wanted
	came := make(chan Taken)
	for i, s := range sources {
		go follow(i, s, asker(asking, i), func() (bool, bool) { return over.Err() != nil, full.Load() }, came)
	}
	for left := len(sources); left > 0; {
		got := <-came
		if got.Last {
			left--
		}
		if !take(got) {
			full.Store(true)
			stop()
		}
	}
}

// follow hands over what a server has, until state says that the capture is over, and then what
// it has of the time before, unless the capture is full.
func follow(point int, s Source, ask Ask, state func() (over, full bool), came chan<- Taken) {
	var d drain
	for {
		r := &spec.CaptureRequest{Within: gatherFor}
		got := Taken{Point: point}
		over, full := state()
		if over {
			r.Within = 0
		}
		reply, err := ask(r)
		if err == nil {
			got.Lost = max(0, reply.Lost-s.lost)
			got.Until, err = s.until(reply, time.Now())
		}
		if err == nil {
			got.Packets, err = Unpack(point, s, reply)
			got.Last = full || over && d.empty(reply)
		}
		got.Err, got.Last = err, got.Last || err != nil
		if came <- got; got.Last {
			return
		}
	}
}

// errLate means that a server did not hand over its last packets in time.
var errLate = errors.New("its last packets did not come in time")
