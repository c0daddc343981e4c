package remote

import (
	"bufio"
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

const (
	// missedBeats is how many heartbeats may pass without a byte from an agent that
	// works on a request: it is given up within 25 s. An agent that hears nothing ends
	// after a longer time.
	missedBeats = 4
	// lookWithin bounds how long an agent may take to look at its server, including the
	// wait for the server's lock; workWithin, how long it may take to change it. Both
	// are a little longer than the agent's own limits.
	lookWithin = 90 * time.Second
	workWithin = 200 * time.Second
)

// watch is the part of a session that makes sure that neither side waits for one that is
// gone.
type watch struct {
	vigil wire.Vigil

	mu      sync.Mutex // guards below
	asked   bool       // an answer is awaited
	sending bool       // a heartbeat is being sent
	why     error      // the agent was given up
}

// begin watches what the agent sends from now on, and sends a heartbeat (OpAlive) at
// every beat, whatever else is waited for: a person, or another server.
func (s *Session) begin(out *bufio.Reader) {
	s.wire = wire.NewConn(s.vigil.Reader(out), s.vigil.Writer(s.proc.in))
	beat := cmp.Or(s.c.d.beat, wire.Beat)
	s.vigil.Begin(beat, func(missed int) {
		s.mu.Lock()
		silent, send := s.asked && missed >= missedBeats, !s.sending
		s.sending = true
		s.mu.Unlock()
		if silent {
			s.giveUp(fmt.Errorf("no sign of life for %s: it was stopped, or the way to it is cut", missedBeats*beat))
		} else if send {
			go s.alive()
		}
	})
}

// alive blocks as long as nobody reads what we send.
func (s *Session) alive() {
	_ = s.wire.Send(&spec.Request{Op: spec.OpAlive}) // its error is ignored: answers show whether the agent is there
	s.mu.Lock()
	s.sending = false
	s.mu.Unlock()
}

// await bounds the wait for the answer to op, until done is called.
func (s *Session) await(op string) (done func()) {
	within := lookWithin
	if op == spec.OpApply || op == spec.OpPurge {
		within = workWithin
	}
	within = cmp.Or(s.c.d.step, within)
	s.vigil.Moved()
	s.setAsked(true)
	late := time.AfterFunc(within, func() { s.giveUp(fmt.Errorf("%s: no answer within %s", op, within)) })
	return func() {
		late.Stop()
		s.setAsked(false)
	}
}

func (s *Session) setAsked(asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = asked
}

// giveUp ends the session from our side.
func (s *Session) giveUp(why error) {
	s.mu.Lock()
	s.why = cmp.Or(s.why, why)
	s.mu.Unlock()
	s.vigil.End()
	s.proc.abort(s.gaveUp())
}

// gaveUp is why the agent was given up; nil if it was not.
func (s *Session) gaveUp() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}
