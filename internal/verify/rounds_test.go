package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// answered are the legs between members of one network, all of which are well.
func answered(members int) []Tried {
	var out []Tried
	for i := range members {
		for j := range members {
			if i != j {
				out = append(out, Tried{Leg: Leg{Network: "n", From: fmt.Sprint("s", i), To: fmt.Sprint("s", j)}, Echoed: spec.Echoed{Sent: 5, Heard: 5}})
			}
		}
	}
	return out
}

// TestBulks: every pair once, no server in more than two of a round; of many members each has two.
func TestBulks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		members int
		all     bool
		pairs   int
	}{{1, false, 0}, {2, false, 1}, {3, false, 3}, {bulkAll, false, bulkAll * (bulkAll - 1) / 2}, {bulkAll + 1, false, bulkAll + 1}, {40, true, 780}} {
		legs := answered(test.members)
		pairs, each := map[string]bool{}, map[string]int{}
		rounds := Bulks(legs, test.all, bulkOnce)
		for _, round := range rounds {
			busy := map[string]int{}
			for _, i := range round {
				l := legs[i]
				pairs[min(l.From, l.To)+" "+max(l.From, l.To)] = true
				for _, server := range []string{l.From, l.To} {
					busy[server]++
					each[server]++
					if busy[server] > bulkOnce {
						t.Errorf("%d members: %s has part in %d tests at once", test.members, server, busy[server])
					}
				}
			}
		}
		if len(pairs) != test.pairs {
			t.Errorf("%d members: want %d pairs, have %d", test.members, test.pairs, len(pairs))
		}
		if most := test.members; len(rounds) > most {
			t.Errorf("%d members: %d rounds", test.members, len(rounds))
		}
		if test.pairs > 0 && len(each) != test.members {
			t.Errorf("%d members: %d have part", test.members, len(each))
		}
	}
	lost := answered(3)
	for i := range lost {
		if lost[i].From == "s2" || lost[i].To == "s2" {
			lost[i].Heard = 0
		}
	}
	if rounds := Bulks(lost, false, bulkOnce); fmt.Sprint(rounds) != "[[0]]" {
		t.Errorf("with a silent member: %v", rounds)
	}
}

// TestBulksAlone: where it counts how fast data is, no server has part in two tests at once.
func TestBulksAlone(t *testing.T) {
	t.Parallel()
	legs, pairs := answered(10), 0
	rounds := Bulks(legs, false, 1)
	for _, round := range rounds {
		busy := map[string]bool{}
		for _, i := range round {
			pairs++
			if busy[legs[i].From] || busy[legs[i].To] {
				t.Errorf("%s and %s are busy in %v", legs[i].From, legs[i].To, round)
			}
			busy[legs[i].From], busy[legs[i].To] = true, true
		}
	}
	if pairs != 45 || len(rounds) > 17 {
		t.Errorf("%d pairs in %d rounds", pairs, len(rounds))
	}
}

// TestBench: a line a path in order of names, the rate of a pair with both.
func TestBench(t *testing.T) {
	t.Parallel()
	legs := answered(3)
	for i := range legs {
		legs[i].Sent, legs[i].Heard = 100, 99
		legs[i].Median, legs[i].P90, legs[i].P99 = time.Millisecond, 2*time.Millisecond, 30*time.Millisecond
		if legs[i].From == "s1" && legs[i].To == "s2" {
			legs[i].Flow = &spec.Flowed{Whole: true, Out: 1e6, Back: 1e6, Took: time.Second}
		}
	}
	legs[0].Heard = 0
	have := fmt.Sprint(Bench(legs))
	for _, want := range []string{"[n s0 s1 - - - 100 -]", "[n s1 s2 1.00 2.00 30.00 1 16.0]", "[n s2 s1 1.00 2.00 30.00 1 16.0]", "[n s2 s0 1.00 2.00 30.00 1 -]"} {
		if !strings.Contains(have, want) {
			t.Errorf("want %s in %s", want, have)
		}
	}
}

// TestStateOfData: what data shows counts where echoes pass.
func TestStateOfData(t *testing.T) {
	t.Parallel()
	leg := func(passes int, f *spec.Flowed, bad bool) Tried {
		return Tried{Leg: Leg{Echo: spec.Echo{MTU: 1450}}, Echoed: spec.Echoed{Sent: 5, Heard: 5, Passes: passes}, Flow: f, BadSums: [2]bool{false, bad}}
	}
	for _, test := range []struct {
		want string
		leg  Tried
		rate float64
	}{
		{Passes, leg(1450, &spec.Flowed{Open: true, Whole: true, Out: 1000, Back: 2000, Took: 2 * time.Second}, true), 12000},
		{Passes, leg(1450, &spec.Flowed{}, false), 0}, // nobody listens: a firewall may be right
		{Broken, leg(1450, &spec.Flowed{}, true), 0},
		{Stalls, leg(1450, &spec.Flowed{Open: true, Out: 10}, false), 0},
		{Broken, leg(1450, &spec.Flowed{Open: true}, true), 0},
		{Narrow, leg(1400, &spec.Flowed{Open: true}, false), 0},
	} {
		if have := test.leg.State(); have != test.want || test.leg.Rate() != test.rate {
			t.Errorf("want %s at %g, have %s at %g: %+v", test.want, test.rate, have, test.leg.Rate(), test.leg.Flow)
		}
	}
}
