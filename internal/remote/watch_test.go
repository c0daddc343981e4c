package remote

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// watched are sessions whose beats are fast, and whose agents may take step for an answer:
// by SSH, and with this machine.
func watched(t *testing.T) map[string]func(t *testing.T, step time.Duration) *Session {
	t.Helper()
	open := func(t *testing.T, l *laptop, target Target, step time.Duration) *Session {
		l.beat, l.step = testBeat, step
		c, err := l.Dial(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		c.root = isRoot // the test's directories belong to whoever runs it
		s, err := c.Agent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(s.Close(), c.Close()) }) // given up by then
		return s
	}
	return map[string]func(t *testing.T, step time.Duration) *Session{
		"ssh": func(t *testing.T, step time.Duration) *Session {
			server := (&sshServer{}).start(t)
			return open(t, newLaptop(t, server), server.target(), step)
		},
		"local": func(t *testing.T, step time.Duration) *Session {
			return open(t, newLaptop(t), Target{Name: Local}, step)
		},
	}
}

// Steps: one that no test reaches, and one that takes longer than missedBeats.
const (
	ample = 100 * testBeat
	brief = 2 * missedBeats * testBeat
)

// TestAgentIsGivenUp: one that was stopped, trickles, goes on for ever or takes nothing is
// waited for no longer than its step may take.
func TestAgentIsGivenUp(t *testing.T) {
	large := &spec.Host{Cluster: strings.Repeat("x", 8<<20)}
	for how, open := range watched(t) {
		for op, c := range map[string]struct {
			step time.Duration
			why  string
		}{
			opStop: {ample, "no sign of life for"}, opHang: {ample, "no sign of life for"},
			// These show that they are there: only their step can end.
			opTrickle: {brief, "trickle: no answer within"}, opEndless: {brief, "endless: no answer within"}, opDeaf: {brief, "deaf: no answer within"},
		} {
			t.Run(how+" "+op, func(t *testing.T) {
				t.Parallel()
				s := open(t, c.step)
				if op == opStop {
					stopped(t, s)
				}
				_, err := s.Do(t.Context(), request(op), nil)
				if !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), c.why) {
					t.Errorf("want %q, have %v", c.why, err)
				}
				if where, next := hint.Of(err); where == "" || !strings.Contains(next, "pgrep -af agent.serve") {
					t.Errorf("where %q, next %q", where, next)
				}
			})
		}
		t.Run(how+" takes nothing", func(t *testing.T) {
			t.Parallel()
			s := open(t, ample)
			stopped(t, s)
			if err := s.wire.Send(request(opStop)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Do(t.Context(), &spec.Request{Op: spec.OpApply, Want: large}, nil); !errors.Is(err, ErrAgent) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// stopped sees to it that an agent that stops does not stay behind.
func stopped(t *testing.T, s *Session) {
	t.Helper()
	reply, err := s.Do(t.Context(), request(opPID), nil)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(reply.Keys[opPID])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	})
}

// TestSlowAgentIsWaitedFor as long as it shows that it is there.
func TestSlowAgentIsWaitedFor(t *testing.T) {
	for how, open := range watched(t) {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			if _, err := open(t, ample).Do(t.Context(), request(opSlow), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWorkstationShowsThatItIsThere, also while it asks nothing.
func TestWorkstationShowsThatItIsThere(t *testing.T) {
	for how, open := range watched(t) {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := open(t, ample)
			tick, late := time.NewTicker(3*testBeat), time.After(20*time.Second)
			defer tick.Stop()
			for before := -1; ; {
				select {
				case <-tick.C:
				case <-late:
					t.Fatal("no sign of life comes")
				}
				reply, err := s.Do(t.Context(), request(opHeard), nil)
				if err != nil {
					t.Fatal(err)
				}
				heard, err := strconv.Atoi(reply.Keys[opHeard])
				if err != nil {
					t.Fatal(err)
				}
				if before >= 0 && heard > before+1 {
					break // more than one since the last question
				}
				before = heard
			}
			if err := s.Close(); err != nil {
				t.Error(fmt.Errorf("close: %w", err))
			}
		})
	}
}
