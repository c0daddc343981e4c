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
	// Handshake is how many seconds before the pair's last WireGuard handshake was, as From says;
	// negative: there was none; nil: From is no peer of To.
	Handshake *int
	// Flow is what came of bulk data there and back; nil: none was sent.
	Flow *spec.Flowed
	// BadSums says that an end dropped segments with a wrong checksum meanwhile: 0 for From,
	// 1 for To.
	BadSums [2]bool
}

// What a leg can be, the worst first.
const (
	Lost   = "lost"   // no answer
	Lossy  = "lossy"  // some answers are missing
	Narrow = "narrow" // packets of the network's MTU do not pass
	Broken = "broken" // TCP segments come with wrong checksums
	Stalls = "stalls" // TCP data stops
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
	case t.Flow != nil && !t.Flow.Whole && (t.BadSums[0] || t.BadSums[1]):
		return Broken
	case t.Flow != nil && t.Flow.Open && !t.Flow.Whole:
		return Stalls
	}
	return Passes
}

// Rate is what bulk data came to, there and back together, in bits per second; 0: it was not
// sent, or did not arrive.
func (t Tried) Rate() float64 {
	if t.Flow == nil || !t.Flow.Whole || t.Flow.Took <= 0 {
		return 0
	}
	return float64(t.Flow.Out+t.Flow.Back) * 8 / t.Flow.Took.Seconds()
}

// Worst is the worst state of some legs.
func Worst(legs []Tried) string {
	has := map[string]bool{}
	for _, t := range legs {
		has[t.State()] = true
	}
	for _, state := range []string{Lost, Broken, Stalls, Lossy, Narrow} {
		if has[state] {
			return state
		}
	}
	return Passes
}
