package verify

import (
	"net/netip"

	"github.com/flocknet/flock/internal/spec"
)

// Tried is a leg, and what came of it.
type Tried struct {
	Leg
	spec.Echoed
	// Arrived says that the other member got the requests, whatever came back.
	Arrived bool
	// Below are the addresses of both below the network; invalid where they are not known.
	Below [2]netip.Addr
}

// What a leg can be, the worst first.
const (
	Lost   = "lost"   // no answer
	Lossy  = "lossy"  // some answers are missing
	Narrow = "narrow" // packets of the network's MTU do not pass
	Passes = "passes"
)

// State judges a leg by what came of it.
func (t Tried) State() string {
	switch {
	case t.Heard == 0:
		return Lost
	case t.Heard < t.Sent:
		return Lossy
	case t.Echoed.Passes < t.Leg.Echo.MTU && t.Echoed.Passes > 0:
		return Narrow
	}
	return Passes
}

// Worst is the worst state of some legs.
func Worst(legs []Tried) string {
	has := map[string]bool{}
	for _, t := range legs {
		has[t.State()] = true
	}
	for _, state := range []string{Lost, Lossy, Narrow} {
		if has[state] {
			return state
		}
	}
	return Passes
}
