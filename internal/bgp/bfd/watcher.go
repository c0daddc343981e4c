//go:build linux

package bfd

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Watcher has the BFD sessions of a server. Its methods may be called concurrently.
type Watcher struct {
	file   string
	events chan Event
	wake   chan struct{}

	mu       sync.Mutex
	sessions map[netip.Addr]*session
	met      map[netip.Addr]bool         // who has a BGP session
	wanted   map[netip.Addr]Peer         // whom Set was told of last
	sockets  map[netip.Addr]*net.UDPConn // what a session's packets come from
	before   map[netip.Addr]kept         // sessions of the daemon before that are not taken up yet
	listens  []*net.UDPConn
	settled  chan struct{} // closed when no poll sequence of Pause is on; nil: nobody waits
}

// Open returns a watcher of nobody. It continues the sessions that file has, if its
// daemon noted them there; a reboot must empty the file. Events come until ctx ends; who
// does not take them loses some.
func Open(ctx context.Context, file string) (*Watcher, <-chan Event, error) {
	before, err := load(file)
	if err != nil {
		return nil, nil, err
	}
	w := &Watcher{
		file: file, before: before, events: make(chan Event, 1024), wake: make(chan struct{}, 1),
		sessions: map[netip.Addr]*session{}, sockets: map[netip.Addr]*net.UDPConn{}, met: map[netip.Addr]bool{},
	}
	go w.run(ctx)
	return w, w.events, nil
}

// Set watches these peers and no other. An interval changes within the session; who is
// watched no more is told so. It returns an error if UDP port 3784, or an address, cannot
// be had: the other peers are watched all the same.
func (w *Watcher) Set(peers []Peer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.nudge()
	now, stay := time.Now(), map[netip.Addr]bool{}
	if len(peers) > 0 && w.listens == nil {
		if err := w.listen(); err != nil {
			return err
		}
	}
	var errs []error
	w.wanted = map[netip.Addr]Peer{}
	for _, p := range peers {
		stay[p.Addr], w.wanted[p.Addr] = true, p
		if s := w.sessions[p.Addr]; s != nil && s.leaving.IsZero() && s.Local == p.Local {
			s.set(p.Every)
			continue
		}
		if err := w.add(p, now); err != nil {
			errs = append(errs, err) // Met tries again
		}
	}
	for addr, s := range w.sessions {
		if !stay[addr] && s.leaving.IsZero() {
			s.leave(now)
		}
	}
	return errors.Join(append(errs, w.save())...)
}

// add begins a session, or continues that of the daemon before.
func (w *Watcher) add(p Peer, now time.Time) error {
	old, resumes := w.before[p.Addr]
	delete(w.before, p.Addr)
	s := newSession(p, discriminator(), now)
	if resumes {
		s.mine = old.Mine
		s.resume(old.Yours, now)
	}
	s.met = w.met[p.Addr]
	c, err := source(p, old.Port)
	if err != nil {
		return err
	}
	w.drop(p.Addr)
	w.sessions[p.Addr], w.sockets[p.Addr] = s, c
	return nil
}

// Met says whether the neighbour with addr has a BGP session now. Without one it is
// watched no more once it is silent.
func (w *Watcher) Met(addr netip.Addr, up bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met[addr] = up
	if p, wanted := w.wanted[addr]; up && wanted && w.sessions[addr] == nil {
		_ = w.add(p, time.Now()) // the session proves that the address is there now
		if s := w.sessions[addr]; s != nil {
			s.met = false // it begins after BGP
		}
	}
	if s := w.sessions[addr]; s != nil {
		s.meet(up, time.Now())
		w.nudge()
	}
}

// drop forgets a session.
func (w *Watcher) drop(addr netip.Addr) {
	if c := w.sockets[addr]; c != nil {
		_ = c.Close()
	}
	delete(w.sessions, addr)
	delete(w.sockets, addr)
}

// Pause tells all neighbours that packets will be rare, for a minute at most, so that the
// next daemon is not missed. It waits until all have heard it, at most for within.
func (w *Watcher) Pause(within time.Duration) {
	w.mu.Lock()
	settled := make(chan struct{})
	w.settled = settled
	for _, s := range w.sessions {
		if s.state == Up && s.leaving.IsZero() {
			s.promise(pausedTx)
		}
	}
	w.mu.Unlock()
	w.nudge()
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
	}
}

// Close tells all neighbours that they are watched no more, once.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, s := range w.sessions {
		s.leave(now)
		w.send(s, s.packet(), now)
	}
}

// Status is how a session is.
type Status struct {
	State  State
	Since  time.Time
	Every  time.Duration // between packets of ours
	Within time.Duration // after which silence is noticed; 0: the neighbour has said nothing yet
	Why    string        // why it is not up
}

// Look is how the session with addr is; ok says that there is one.
func (w *Watcher) Look(addr netip.Addr) (st Status, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[addr]
	if s == nil || !s.leaving.IsZero() {
		return Status{}, false
	}
	st = Status{State: s.state, Since: s.since, Every: s.Every, Within: s.detection(), Why: s.why}
	switch {
	case s.state != Up && !s.met:
		st.Why = cmp.Or(s.why, "it begins after the BGP session")
	case s.state != Up && s.why == "":
		st.Why = "no BFD packet came from it (UDP port 3784)"
		if s.heard {
			st.Why = "it does not hear this server's BFD packets (UDP port 3784)"
		}
	}
	return st, true
}

func (w *Watcher) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run sends what is due and notices who is silent.
func (w *Watcher) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, l := range w.listens {
				_ = l.Close()
			}
			for addr := range w.sessions {
				w.drop(addr)
			}
			return
		case <-w.wake:
		case <-timer.C:
		}
		timer.Reset(w.turn(time.Now()))
	}
}

// turn does what is due at now, and returns for how long nothing more is.
func (w *Watcher) turn(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := now.Add(time.Hour)
	asking := false
	for addr, s := range w.sessions {
		if !s.leaving.IsZero() && now.After(s.leaving) {
			w.drop(addr)
			continue
		}
		if !s.expires.IsZero() && !now.Before(s.expires) {
			w.tell(s.expire(now))
		}
		if !s.trial.IsZero() && !now.Before(s.trial) {
			w.tell(s.fail())
		}
		if !now.Before(s.due) && !s.quiet() {
			w.send(s, s.packet(), now)
		}
		asking = asking || s.asking && s.state == Up
		if !s.quiet() && s.due.Before(next) {
			next = s.due
		}
		for _, t := range []time.Time{s.expires, s.trial, s.leaving} {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
	}
	if w.settled != nil && !asking {
		close(w.settled)
		w.settled = nil
	}
	return max(time.Until(next), 0)
}

// send sends one packet; the next is due after the interval. What does not leave is one
// more packet that the neighbour misses.
func (w *Watcher) send(s *session, p packet, now time.Time) {
	random := make([]byte, 1)
	_, _ = rand.Read(random)
	s.sent, s.due = now, now.Add(s.interval(random[0]))
	if c := w.sockets[s.Addr]; c != nil {
		_, _ = c.WriteToUDPAddrPort(p.encode(), netip.AddrPortFrom(s.Addr, Port))
	}
}

// heard takes a packet that came from addr over one hop.
func (w *Watcher) heard(addr netip.Addr, b []byte) {
	p, err := decode(b)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s, now := w.sessions[addr], time.Now()
	if s == nil {
		return
	}
	e, reply := s.take(p, now)
	if reply != nil {
		due := s.due
		w.send(s, *reply, now)
		s.due = due
	}
	w.tell(e)
	w.nudge()
}

// tell passes an event on, and notes the sessions for the next daemon.
func (w *Watcher) tell(e *Event) {
	if e == nil {
		return
	}
	_ = w.save() // without the note the next daemon begins anew
	select {
	case w.events <- *e:
	default:
	}
}

// discriminator is a random one (RFC 5880, 10).
func discriminator() uint32 {
	b := make([]byte, 4)
	_, _ = rand.Read(b)
	return max(1, binary.BigEndian.Uint32(b))
}
