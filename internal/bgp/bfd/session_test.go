package bfd

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// two are sessions of two servers with each other.
func two(every time.Duration) (a, b *session) {
	a = newSession(Peer{Addr: netip.MustParseAddr("10.0.0.2"), Every: every}, 11, start)
	b = newSession(Peer{Addr: netip.MustParseAddr("10.0.0.1"), Every: every}, 22, start)
	a.met, b.met = true, true
	return a, b
}

// TestNothingBeforeBGP: a session begins five seconds after BGP's, also if the neighbour
// is sooner, and one that is up goes on
// without.
func TestNothingBeforeBGP(t *testing.T) {
	a, b := two(300 * time.Millisecond)
	a.met = false
	if !a.quiet() || say(t, b, a, at(1)) != nil || a.state != Down {
		t.Errorf("it says or takes something: %v", a.state)
	}
	a.meet(true, at(100))
	if a.quiet() || !a.due.Equal(at(5100)) {
		t.Errorf("it begins %v", a.due)
	}
	if say(t, b, a, at(5099)); a.state != Down || !a.due.Equal(at(5100)) {
		t.Errorf("it is hurried: %v, next packet %v", a.state, a.due)
	}
	a.from = at(0)
	up(t, a, b)
	a.meet(false, at(2000))
	if a.quiet() {
		t.Error("it stops while the other restarts")
	}
	a.expire(at(3000))
	if !a.quiet() {
		t.Error("it is down and goes on")
	}
}

// TestNoTrialOutlivesBGP: a young session that ended has to be up again soon, but not after the
// BGP session that it was about: until BFD begins anew nothing could pass the trial.
func TestNoTrialOutlivesBGP(t *testing.T) {
	a, b := two(300 * time.Millisecond)
	up(t, a, b)
	b.turn(Down, diagExpired, "", at(100))
	b.yours = a.mine
	if say(t, b, a, at(101)); a.state != Down || a.trial.IsZero() {
		t.Fatalf("it is %v, trial until %v", a.state, a.trial)
	}
	a.meet(false, at(200))
	a.meet(true, at(700))
	if !a.trial.IsZero() || !a.from.Equal(at(5700)) {
		t.Errorf("trial until %v, it begins %v", a.trial, a.from)
	}
}

// say carries from's packet to to, and answers back.
func say(t *testing.T, from, to *session, now time.Time) *Event {
	t.Helper()
	p, err := decode(from.packet().encode())
	if err != nil {
		t.Fatal(err)
	}
	e, reply := to.take(p, now)
	if reply != nil {
		if _, again := from.take(*reply, now); again != nil {
			t.Fatal("an answer is answered")
		}
	}
	return e
}

func up(t *testing.T, a, b *session) {
	t.Helper()
	for i := range 4 {
		say(t, a, b, at(i))
		say(t, b, a, at(i))
	}
	if a.state != Up || b.state != Up || a.asking || b.asking {
		t.Fatalf("they are %v and %v, asking %v %v", a.state, b.state, a.asking, b.asking)
	}
}

func TestSilenceIsNoticedAfterThreePackets(t *testing.T) {
	a, b := two(300 * time.Millisecond)
	if a.tx != time.Second {
		t.Errorf("before it is up it sends every %v", a.tx)
	}
	up(t, a, b)
	say(t, b, a, at(1000))
	if want := at(1900); !a.expires.Equal(want) {
		t.Errorf("expires at %v, not %v", a.expires, want)
	}
	for r, want := range map[byte]time.Duration{0: 225 * time.Millisecond, 128: 262500 * time.Microsecond} {
		if have := a.interval(r); have != want {
			t.Errorf("interval(%d) = %v, want %v", r, have, want)
		}
	}
	e := a.expire(at(1900))
	if e == nil || !e.Failed || e.Up || e.Why != "silent for 900 ms" || a.state != Down || a.yours != 0 {
		t.Errorf("%+v, %v", e, a.state)
	}
	b.since = at(-3000)
	if e := say(t, a, b, at(1910)); e == nil || !e.Failed {
		t.Errorf("who is told that nothing is heard: %+v", e)
	}
	up(t, a, b)
}

// TestFasterAtOnce: who has just come up, and wants packets more often from then on, gets
// the next one in time.
func TestFasterAtOnce(t *testing.T) {
	a, _ := two(300 * time.Millisecond)
	init := packet{state: Init, mult: 3, mine: 22, yours: 11, tx: time.Second, rx: time.Second}
	a.take(init, at(0))
	a.sent, a.due = at(1), at(1).Add(a.interval(255))
	if a.due.Before(at(900)) {
		t.Errorf("the next packet is due %v, before the other takes it", a.due)
	}
	up := packet{state: Up, mult: 3, mine: 22, yours: 11, tx: 300 * time.Millisecond, rx: 300 * time.Millisecond, poll: true}
	if _, reply := a.take(up, at(3)); reply == nil || !reply.final || a.due.After(at(301)) {
		t.Errorf("answer %+v, the next packet is due %v", reply, a.due)
	}
}

// TestYoungSessionsMayBeginAnew: what ends just after it came up fails only if it does not
// come up again.
func TestYoungSessionsMayBeginAnew(t *testing.T) {
	for name, again := range map[string]bool{"it comes up again": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			a, b := two(300 * time.Millisecond)
			up(t, a, b)
			if e, _ := a.take(packet{state: Down, mult: 3, mine: 22, yours: 11, tx: time.Second, rx: time.Second}, at(10)); e == nil || e.Failed {
				t.Fatalf("%+v", e)
			}
			if want := at(10).Add(young); !a.trial.Equal(want) {
				t.Errorf("it is awaited until %v", a.trial)
			}
			if again {
				b = newSession(b.Peer, 33, at(20))
				b.met = true
				up(t, a, b)
				if !a.trial.IsZero() {
					t.Error("it is up and still awaited")
				}
			} else if e := a.fail(); !e.Failed || e.Why == "" || !a.trial.IsZero() {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestPause: the other waits for a minute, and no longer than before once the next
// daemon has continued.
func TestPause(t *testing.T) {
	a, b := two(300 * time.Millisecond)
	up(t, a, b)
	a.promise(pausedTx)
	if a.interval(255) > 300*time.Millisecond {
		t.Error("it sends rarely before the other knows")
	}
	if e := say(t, a, b, at(100)); e != nil || a.asking {
		t.Fatalf("%+v, asking %v", e, a.asking)
	}
	if have := b.expires.Sub(at(100)); have != time.Minute {
		t.Errorf("the other waits for %v", have)
	}
	next := newSession(a.Peer, a.mine, at(5000))
	next.resume(a.yours, at(5000))
	if e := say(t, next, b, at(5000)); e != nil || b.expires.Sub(at(5000)) != 900*time.Millisecond || next.asking {
		t.Errorf("%+v, waits until %v, asking %v", e, b.expires, next.asking)
	}
	// Had it given up meanwhile, that is no failure of now.
	late := newSession(a.Peer, a.mine, at(9000))
	late.resume(a.yours, at(9000))
	late.met = true
	b.expire(at(8000))
	if e := say(t, b, late, at(9001)); e == nil || e.Failed || late.state != Down {
		t.Errorf("%+v, %v", e, late.state)
	}
	up(t, late, b)
	gone := newSession(a.Peer, a.mine, at(9000))
	gone.resume(a.yours, at(9000))
	if e := gone.expire(gone.expires); e == nil || e.Failed || e.Why != "silent for 3000 ms" {
		t.Errorf("nobody there after the restart: %+v", e)
	}
}

func TestAdminDownIsNoFailure(t *testing.T) {
	a, b := two(100 * time.Millisecond)
	up(t, a, b)
	b.leave(at(50))
	if e := say(t, b, a, at(60)); e == nil || e.Failed || e.Up || a.state != Down || a.why != "it is switched off there" {
		t.Errorf("%+v, %v %q", e, a.state, a.why)
	}
	if e := say(t, a, b, at(70)); e != nil || b.state != AdminDown {
		t.Errorf("who left is asked back: %+v", e)
	}
	c, d := two(100 * time.Millisecond)
	up(t, c, d)
	removed := packet{state: Down, diag: diagSignaled, mult: 3, mine: 22, yours: 11, tx: time.Second, rx: time.Second}
	if e, _ := c.take(removed, at(5000)); e == nil || e.Failed || c.state != Down {
		t.Errorf("removed by FRR: %+v, %v", e, c.state)
	}
	if !b.leaving.Equal(at(350)) {
		t.Errorf("it says so until %v", b.leaving)
	}
}

func TestAnotherIntervalWithinTheSession(t *testing.T) {
	a, b := two(100 * time.Millisecond)
	up(t, a, b)
	a.set(time.Second)
	if a.agreedTx != 100*time.Millisecond || !a.asking {
		t.Errorf("%v, asking %v", a.agreedTx, a.asking)
	}
	say(t, a, b, at(100))
	if a.agreedTx != time.Second || b.detection() != 3*time.Second || a.state != Up {
		t.Errorf("%v, %v, %v", a.agreedTx, b.detection(), a.state)
	}
	a.set(50 * time.Millisecond)
	if a.agreedTx != 50*time.Millisecond {
		t.Errorf("it sends every %v", a.agreedTx)
	}
}

// TestStrangePackets: none of them changes a session that is up.
func TestStrangePackets(t *testing.T) {
	good := packet{state: Down, mult: 3, mine: 7, tx: time.Second, rx: time.Second}
	for name, change := range map[string]func(b []byte) []byte{
		"short":              func(b []byte) []byte { return b[:23] },
		"longer than itself": func(b []byte) []byte { b[3] = 25; return b },
		"another version":    func(b []byte) []byte { b[0] = 2 << 5; return b },
		"authenticated":      func(b []byte) []byte { b[1] |= bitAuth; return b },
		"demand mode":        func(b []byte) []byte { b[1] |= bitDemand; return b },
		"multipoint":         func(b []byte) []byte { b[1] |= bitMulti; return b },
		"asks and answers":   func(b []byte) []byte { b[1] |= bitPoll | bitFinal; return b },
		"no multiplier":      func(b []byte) []byte { b[2] = 0; return b },
		"no discriminator":   func(b []byte) []byte { clear(b[4:8]); return b },
		"up, of no session":  func(b []byte) []byte { b[1] = byte(Up) << 6; return b },
	} {
		if p, err := decode(change(good.encode())); err == nil {
			t.Errorf("%s: taken as %+v", name, p)
		}
	}
	a, b := two(100 * time.Millisecond)
	up(t, a, b)
	for _, p := range []packet{good, {state: Down, mult: 3, mine: 22, yours: 12}, {state: AdminDown, mult: 3, mine: 7}} {
		if e, _ := a.take(p, at(10)); e != nil || a.state != Up {
			t.Errorf("%+v: %+v, %v", p, e, a.state)
		}
	}
	const want = "204003180000000700000000000f4240000f424000000000"
	if have := hex.EncodeToString(good.encode()); have != want {
		t.Errorf("on the wire %s, not %s", have, want)
	}
}

func TestStatesHaveWords(t *testing.T) {
	var all []string
	for s := AdminDown; s <= Up; s++ {
		all = append(all, s.String())
	}
	if have := strings.Join(all, " "); have != "switched off down init up" {
		t.Error(have)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(packet{state: Up, mult: 3, mine: 1, yours: 2, tx: time.Second, rx: time.Second, poll: true, alone: true}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		if q, err := decode(p.encode()); err != nil || q != p {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
	})
}
