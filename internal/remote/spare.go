package remote

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// A first contact runs several commands, each in a session of its own. To open one costs a round
// trip, and to open several at once no more than that.

// contactSessions is how many a first contact has: the agent is looked for, installed, and
// started. A server that takes fewer (sshd_config(5), MaxSessions) refuses the others, which are
// opened when they are needed.
const contactSessions = 3

// prepare begins to open n sessions for the commands that follow. A master is asked for each when
// it is needed: it does not tell the server of all that end (see takeLeave).
func (l *link) prepare(n int) {
	if l.master != "" {
		return
	}
	start := time.Now()
	for range n {
		ready := make(chan *ssh.Session, 1)
		l.spare = append(l.spare, ready)
		go func() {
			s, err := l.client.NewSession()
			if err != nil {
				s = nil // who needs one opens it, and sees why
			}
			l.noteTrip(time.Since(start))
			ready <- s
		}()
	}
}

// spared is one of the prepared sessions; nil: there is none.
func (l *link) spared() *ssh.Session {
	for len(l.spare) > 0 {
		s := <-l.spare[0]
		l.spare = l.spare[1:]
		if s != nil {
			return s
		}
	}
	return nil
}

// dropSpare closes prepared sessions that nobody needed.
func (l *link) dropSpare() {
	for _, ready := range l.spare {
		go func() {
			if s := <-ready; s != nil {
				_ = s.Close() // it is not used
			}
		}()
	}
	l.spare = nil
}

// noteTrip notes how long a message to the server and back took at most.
func (l *link) noteTrip(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trip == 0 || took < l.trip {
		l.trip = took
	}
}

// tripNoted is what noteTrip noted; 0: nothing.
func (l *link) tripNoted() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trip
}
