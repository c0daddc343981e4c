package peering

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// TestSessionsOutsideAreAwaited: what is wrong with a session is said, and whether waiting helps.
func TestSessionsOutsideAreAwaited(t *testing.T) {
	router, other := netip.MustParseAddr("10.99.0.254"), netip.MustParseAddr("10.99.0.253")
	rule := spec.PrefixRule{Prefix: netip.MustParsePrefix("10.128.0.0/9"), LE: 24}
	want := &spec.BGP{Neighbors: []spec.BGPNeighbor{
		{Addr: netip.MustParseAddr("10.99.0.2"), Name: "s2"}, {Addr: router, External: true, Import: []spec.PrefixRule{rule}}, {Addr: other, External: true},
	}}
	asked := map[Outside]bool{{"s1", router}: true}
	for name, test := range map[string]struct {
		have    spec.BGPNeighborStatus
		missing string
		waits   bool
	}{
		"nothing known":        {spec.BGPNeighborStatus{Addr: other}, "s1: the session with 10.99.0.254 is not there yet", true},
		"down":                 {spec.BGPNeighborStatus{Addr: router, State: spec.BGPActive, Why: "no answer"}, "s1: the session with 10.99.0.254 is Active: no answer", true},
		"refused":              {spec.BGPNeighborStatus{Addr: router, State: spec.BGPIdle, Why: "Bad Peer AS", Refused: true}, "s1: the session with 10.99.0.254 is Idle: Bad Peer AS", false},
		"just up":              {spec.BGPNeighborStatus{Addr: router, State: spec.BGPEstablished, Uptime: time.Second}, "", true},
		"up":                   {spec.BGPNeighborStatus{Addr: router, State: spec.BGPEstablished, Uptime: time.Minute}, "", false},
		"a rule about nothing": {spec.BGPNeighborStatus{Addr: router, State: spec.BGPEstablished, Uptime: time.Minute, Unmatched: []spec.PrefixRule{rule}}, `s1 accepts "10.128.0.0/9 le 24" of 10.99.0.254, which announces nothing of it`, false},
	} {
		s := Answer{Server: "s1", Status: &spec.BGPStatus{Neighbors: []spec.BGPNeighborStatus{test.have}}}
		missing, waits := UnheardOutside(s, want, asked)
		if have := strings.Join(missing, "; "); have != test.missing || waits != test.waits {
			t.Errorf("%s: want %q, %v, have %q, %v", name, test.missing, test.waits, have, waits)
		}
		var notes []ground.Note
		for _, text := range missing {
			notes = append(notes, ground.Note{Network: "bnet", Text: text})
		}
		o := Outside{"s1", router}
		if have := o.Down(notes); have != strings.Contains(test.missing, "the session") {
			t.Errorf("%s: down: %v", name, have)
		}
	}
}
