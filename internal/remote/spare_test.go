package remote

import (
	"testing"
	"time"
)

const dropbear = -1

// A server that takes one session at a time, or two, is installed and asked all the same, and
// what was opened and not needed is closed; so is one that closes those which wait.
func TestFewSessions(t *testing.T) {
	for _, most := range []int32{1, 2, 0, dropbear} {
		s := (&sshServer{}).start(t)
		s.most.Store(max(0, most))
		s.tidy.Store(most == dropbear)
		l := newLaptop(t, s)
		c := mustDial(t, l, s.target())
		session, err := c.Agent(t.Context())
		if err != nil {
			t.Fatalf("a server that takes %d sessions: %v", most, err)
		}
		tick, late := time.NewTicker(10*time.Millisecond), time.After(20*time.Second)
		for s.open.Load() > 1 {
			select {
			case <-tick.C:
			case <-late:
				t.Fatalf("%d sessions are open beside the agent's", s.open.Load()-1)
			}
		}
		tick.Stop()
		session.Close()
		facts(t, mustDial(t, l, s.target())) // one that is not needed
	}
}
