package view

import (
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
)

// What data showed stays until data shows something else; what echoes show counts at once.
func TestEchoesDoNotDisproveData(t *testing.T) {
	passes, stalls := legOf("s1", "s2", 5, 1450, true), legOf("s1", "s2", 5, 1450, true)
	stalls.Flow = &spec.Flowed{Open: true}
	lost := legOf("s1", "s2", 0, 0, false)
	for _, test := range []struct {
		was  string
		data bool
		leg  verify.Tried
		want string // "": it stays
	}{
		{verify.Stalls, false, passes, ""},
		{verify.Broken, false, passes, ""},
		{verify.Stalls, true, passes, verify.Passes},
		{verify.Stalls, false, lost, verify.Lost},
		{verify.Lost, false, passes, verify.Passes},
		{"", false, passes, verify.Passes},
		{verify.Passes, true, stalls, verify.Stalls},
	} {
		list := []*Verified{{Network: verify.Network{Name: "vx1", Legs: []verify.Tried{test.leg}}}}
		have := VerdictsOf(list, test.data, map[string]state.Verdict{"vx1": {State: test.was}}, time.Now())
		if have["vx1"].State != test.want {
			t.Errorf("%+v: have %q", test, have["vx1"].State)
		}
	}
}
