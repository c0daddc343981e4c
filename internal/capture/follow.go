package capture

import (
	"context"
	"errors"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

const (
	gatherFor  = 200 * time.Millisecond // packets for one answer
	clockReads = 4                      // answers by which a server's clock is measured
	lastAnswer = 3 * time.Second        // for the last packets of a capture
)

// Ask sends a request to a point's server.
type Ask func(*spec.CaptureRequest) (*spec.CaptureReply, error)

// Taken is what came from a point.
type Taken struct {
	Point   int
	Packets []Packet
	Until   time.Time // earlier packets of the point are here or were before
	Lost    int       // packets that the kernel had no room for, so far
	Last    bool      // nothing more comes from it
	Err     error     // because of this; nil: the capture is over
}

// Begin has a point's server take packets, and measures its clock.
func Begin(p Point, ask Ask) (s Source, err error) {
	var clocks Clocks
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
	s.Skew = clocks.Skew()
	return s, nil
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
	came := make(chan Taken)
	for i, s := range sources {
		go follow(i, s, asker(asking, i), func() bool { return over.Err() != nil }, came)
	}
	for left := len(sources); left > 0; {
		got := <-came
		if got.Last {
			left--
		}
		if !take(got) {
			stop()
		}
	}
}

// follow hands over what a server has, until over says so and once after that.
func follow(point int, s Source, ask Ask, over func() bool, came chan<- Taken) {
	for {
		r := &spec.CaptureRequest{Within: gatherFor}
		got := Taken{Point: point, Last: over()}
		if got.Last {
			r.Within = 0
		}
		reply, err := ask(r)
		if err == nil {
			got.Lost, got.Until = reply.Lost, time.Unix(0, reply.Until).Add(-s.Skew)
			got.Packets, err = Unpack(point, s, reply)
		}
		got.Err, got.Last = err, got.Last || err != nil
		if came <- got; got.Last {
			return
		}
	}
}

// errLate means that a server did not hand over its last packets in time.
var errLate = errors.New("its last packets did not come in time")
