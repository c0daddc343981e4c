//go:build linux

package probe

import (
	"net/netip"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// Silence says something once an answer would have come. How long that takes is seen meanwhile: by the
// answers of the others, by how long this process stood still between two looks, and by an echo to the
// same server below the network, which is what its packets travel on. Where that is not answered, by a
// firewall or since the server is away, nothing is known of the line, and whoever asks waits on.
const (
	paceBegins = 20 * time.Millisecond // of silence; before that nobody is asked, and those who are well answer
	paceEvery  = 100 * time.Millisecond
	paceTimes  = 4 // what was seen, until it is called too late
)

// Pace is what was seen so far. Close it.
type Pace struct {
	open    func(netip.Addr) prober // what asks servers of the address's family
	probers map[bool]prober         // by whether it is IPv6
	asked   map[netip.Addr]time.Time
	heard   map[netip.Addr]bool
	began   time.Time
	last    time.Time // look
	next    time.Time // that servers are asked
	awaited int
	slowest time.Duration
	known   bool // of the line to each who is awaited
}

// NewPace has seen nothing. It opens nothing before it is asked to look.
func NewPace() *Pace { return paceBy(listenBelow) }

func paceBy(open func(netip.Addr) prober) *Pace {
	return &Pace{open: open, probers: map[bool]prober{}, asked: map[netip.Addr]time.Time{}, heard: map[netip.Addr]bool{}}
}

// listenBelow asks by any device, from any address.
func listenBelow(a netip.Addr) prober {
	fd, err := openEcho(spec.Probe{From: unspecified(a)})
	if err != nil {
		return deafProber{}
	}
	return &echoProber{fd: fd, found: map[netip.Addr]bool{}}
}

// Close closes what Look opened.
func (p *Pace) Close() {
	for _, l := range p.probers {
		l.close()
	}
}

// Look takes in what came. Below is where those are who have not answered; an address that is not
// valid is one that nobody knows.
func (p *Pace) Look(below []netip.Addr) {
	now := time.Now()
	if p.began.IsZero() {
		p.began, p.last, p.awaited = now, now, len(below)
	}
	p.slowest = max(p.slowest, now.Sub(p.last))
	if len(below) < p.awaited {
		p.slowest = max(p.slowest, now.Sub(p.began))
	}
	p.last, p.awaited = now, len(below)
	if now.Sub(p.began) < paceBegins {
		return
	}
	ask := !now.Before(p.next)
	if ask {
		p.next = now.Add(paceEvery)
	}
	p.known = true
	for _, a := range below {
		if !p.heard[a] {
			p.lookBelow(a, now, ask)
		}
		p.known = p.known && p.heard[a]
	}
}

// lookBelow hears whether the server at a has answered, and may ask it. What counts is the time
// since it was asked first.
func (p *Pace) lookBelow(a netip.Addr, now time.Time, ask bool) {
	if !a.IsValid() || a.Zone() != "" {
		return
	}
	if p.probers[a.Is6()] == nil {
		p.probers[a.Is6()] = p.open(a)
	}
	l := p.probers[a.Is6()]
	if !p.asked[a].IsZero() {
		if p.heard[a], _ = l.heard(spec.Probe{To: a}); p.heard[a] {
			p.slowest = max(p.slowest, now.Sub(p.asked[a]))
			return
		}
	}
	if ask {
		if p.asked[a].IsZero() {
			p.asked[a] = now
		}
		_ = l.ask(spec.Probe{To: a}) // what does not leave is not answered
	}
}

// Over says whether an answer to what was sent then would be here, by all that was seen.
func (p *Pace) Over(since time.Time) bool {
	return p.known && time.Since(since) >= paceTimes*p.slowest
}
