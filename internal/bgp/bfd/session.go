package bfd

import (
	"fmt"
	"net/netip"
	"time"
)

const (
	// multiplier is how many packets of ours in a row the neighbour may miss.
	multiplier = 3
	// slow is the least interval of a session that is not up (RFC 5880, 6.8.3).
	slow = time.Second
	// pausedTx is the interval that is promised before a restart: the neighbour waits for
	// three times as long.
	pausedTx = 20 * time.Second
	// resumeWithin bounds the wait for the first packet of a session that is continued.
	resumeWithin = 3 * time.Second
	// settling is for how long nothing is said and heard after BGP's session came up: FRR
	// makes its BFD session anew then, by way of zebra, and ends BGP if it was up (8.4).
	settling = 5 * time.Second
	// young is how long after it came up the neighbour may end a session for another:
	// FRR makes it anew when BGP has come up (8.4).
	young = 2 * time.Second
)

// Peer is a neighbour that is watched.
type Peer struct {
	Addr  netip.Addr
	Local netip.Addr    // own address; invalid: the kernel's choice
	Every time.Duration // between packets to it; it may send twice as often. 10 ms … 1 h
}

// Event is a change of a session.
type Event struct {
	Addr netip.Addr
	Up   bool
	// Failed says that the way to the neighbour is broken: it is silent, or says that it
	// hears nothing of us.
	Failed bool
	// Alone says that its BFD goes on while its control plane does not: if Failed, it
	// does not merely restart (RFC 5882, 4.3).
	Alone bool
	Why   string // in words
}

// session is one BFD session (RFC 5880, 6.8). Its methods have no effect but on itself.
type session struct {
	Peer
	state       State
	diag        byte
	mine, yours uint32
	since       time.Time // of state
	why         string    // why it is not up; "": it never was

	met  bool      // it has a BGP session
	from time.Time // before which no session begins

	theirs  packet // the last one
	heard   bool   // there is one
	resumed bool   // continued from the daemon before, and nothing heard yet

	tx       time.Duration // DesiredMinTx
	agreedTx time.Duration // in use: while a poll sequence is on, the one of before may still hold
	asking   bool          // a poll sequence is on
	sent     time.Time
	due      time.Time // of the next packet
	expires  time.Time // zero: nothing is awaited
	trial    time.Time // until when a young session must be up again; zero: it need not
	leaving  time.Time // it is removed, and says so until then; zero: it is not
}

func newSession(p Peer, mine uint32, now time.Time) *session {
	return &session{Peer: p, state: Down, mine: mine, since: now, tx: max(slow, p.Every), agreedTx: max(slow, p.Every), due: now}
}

// resume continues a session that the daemon before had up.
func (s *session) resume(yours uint32, now time.Time) {
	s.state, s.yours, s.resumed = Up, yours, true
	s.tx, s.agreedTx, s.asking = s.Every, s.Every, true
	s.expires = now.Add(resumeWithin)
}

// rx is how often packets are taken: routers that send as fast as they may are noticed
// as soon as those that do not.
func (s *session) rx() time.Duration { return s.Every / 2 }

// detection is for how long silence is none.
func (s *session) detection() time.Duration {
	return time.Duration(s.theirs.mult) * max(s.rx(), s.theirs.tx)
}

// interval is the pause between our packets: 75 to 100 percent of it, as random, 0 to
// 255, says.
func (s *session) interval(random byte) time.Duration {
	i := max(s.agreedTx, s.theirs.rx)
	return i*3/4 + i/4*time.Duration(random)/256
}

// set takes up another interval.
func (s *session) set(every time.Duration) {
	if every == s.Every {
		return
	}
	s.Every = every
	if s.state == Up {
		s.promise(every)
	}
}

// promise says with a poll sequence how often we send. Until the neighbour has heard it
// we send as often as before, if that is more often.
func (s *session) promise(tx time.Duration) {
	s.tx, s.agreedTx, s.asking = tx, min(s.agreedTx, tx), true
	s.due = s.sent
}

// packet is what is sent now.
func (s *session) packet() packet {
	return packet{state: s.state, diag: s.diag, poll: s.asking && s.state == Up, mult: multiplier, mine: s.mine, yours: s.yours, tx: s.tx, rx: s.rx()}
}

// meet notes whether it has a BGP session.
func (s *session) meet(up bool, now time.Time) {
	if up != s.met {
		s.trial = time.Time{} // the BGP session that it was about is gone
	}
	if up && !s.met && s.state != Up {
		s.from = now.Add(settling)
		s.due = s.from
	}
	s.met = up
}

// asleep says whether nothing is sent and taken: a session begins after BGP's own.
func (s *session) asleep() bool { return !s.met && (s.state == Down || s.state == Init) }

// quiet says whether the neighbour is sent no packets.
func (s *session) quiet() bool { return s.asleep() || s.heard && s.theirs.rx == 0 && s.state == Up }

// take takes p; reply is its answer, if it asks for one.
func (s *session) take(p packet, now time.Time) (e *Event, reply *packet) {
	// Who does not know our discriminator may only be the neighbour that is known: a
	// stranger cannot end the session.
	if p.yours != 0 && p.yours != s.mine || p.yours == 0 && s.state == Up && p.mine != s.yours || s.state == AdminDown {
		return nil, nil
	}
	if s.asleep() || s.state != Up && now.Before(s.from) {
		return nil, nil
	}
	s.theirs, s.heard = p, true
	if p.final {
		s.asking, s.agreedTx = false, s.tx
	}
	e = s.step(p, now)
	s.resumed = false
	// FRR wants a packet per second until it is up, and then waits less than that.
	if latest := s.sent.Add(s.interval(128)); s.due.After(latest) {
		s.due = latest
	}
	if s.state == Init || s.state == Up {
		s.yours = p.mine
		s.expires = now.Add(s.detection())
	}
	if p.poll {
		r := s.packet()
		r.poll, r.final = false, true
		reply = &r
	}
	return e, reply
}

// step moves the state (RFC 5880, 6.8.6).
func (s *session) step(p packet, now time.Time) *Event {
	switch {
	case p.state == AdminDown:
		if s.state == Down {
			return nil
		}
		// Who switches BFD off says nothing about the way to it (RFC 5882, 3.2).
		return s.turn(Down, diagSignaled, "it is switched off there", now)
	case s.state == Down && p.state == Down:
		s.turn(Init, diagNone, s.why, now)
		return nil
	case s.state == Down && p.state == Init, s.state == Init && p.state >= Init:
		return s.turn(Up, diagNone, "", now)
	case s.state == Up && p.state == Down && p.diag == diagSignaled:
		// We signaled nothing: FRR says so when a session is removed (8.4).
		return s.turn(Down, diagSignaled, "it is switched off there", now)
	case s.state == Up && p.state == Down:
		restarted, fresh := s.resumed, now.Sub(s.since) < young
		e := s.turn(Down, diagSignaled, "the neighbor says that it heard nothing of this server", now)
		e.Failed = !restarted && !fresh
		if fresh && !restarted {
			s.trial = now.Add(young)
		}
		return e
	}
	return nil
}

// turn changes the state.
func (s *session) turn(to State, diag byte, why string, now time.Time) *Event {
	s.state, s.diag, s.why, s.since, s.due = to, diag, why, now, now
	switch to {
	case Up:
		s.trial = time.Time{}
		s.tx, s.agreedTx, s.asking = s.Every, s.Every, true
	default:
		s.tx, s.agreedTx, s.asking = max(slow, s.Every), max(slow, s.Every), false
	}
	if to == Down {
		s.yours, s.expires = 0, time.Time{}
	}
	return &Event{Addr: s.Addr, Up: to == Up, Alone: s.theirs.alone, Why: why}
}

// expire is called when nothing came in time.
func (s *session) expire(now time.Time) *Event {
	was, failed := s.state, s.state == Up && !s.resumed
	silent := s.detection()
	if s.resumed {
		silent = resumeWithin
	}
	e := s.turn(Down, diagExpired, fmt.Sprintf("silent for %d ms", silent.Milliseconds()), now)
	e.Failed, s.resumed = failed, false
	if was != Up {
		return nil
	}
	return e
}

// fail is called when a young session did not come up again in time.
func (s *session) fail() *Event {
	s.trial = time.Time{}
	return &Event{Addr: s.Addr, Failed: true, Alone: s.theirs.alone, Why: s.why}
}

// leave ends the session: the neighbour is told for as long as it would wait for packets.
func (s *session) leave(now time.Time) {
	s.state, s.diag, s.asking, s.due, s.expires, s.trial = AdminDown, diagAdmin, false, now, time.Time{}, time.Time{}
	s.leaving = now.Add(multiplier * max(s.agreedTx, s.theirs.rx))
}
