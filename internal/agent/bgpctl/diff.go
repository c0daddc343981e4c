package bgpctl

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// bgpPart is a part of a server's BGP speaker that changes can name: its head, a
// prefix, a neighbour. All of them are made by one order to the daemon.
type bgpPart struct{ name, text string }

func (p bgpPart) String() string { return p.text }

// diffBGP is the difference between two speakers. One whose AS is 0 does not run.
func diffBGP(want, have *spec.BGP) family.Pair {
	if want == nil && have == nil {
		return family.Pair{}
	}
	if want == nil {
		step := spec.Step{Action: spec.Remove, Object: "bgp " + have.Network}
		return family.Pair{Gone: []family.Op{{Step: step, Have: bgpPart{}}}}
	}
	if have != nil && have.AS == 0 {
		step := spec.Step{Action: spec.Change, Object: "bgp " + want.Network, Detail: "not running -> running"}
		return family.Pair{Come: []family.Op{{Step: step, Want: bgpPart{}}}}
	}
	c := family.Compare(bgpParts(want), bgpParts(have), func(p bgpPart) string { return p.name }, func(p bgpPart) string { return p.name })
	for i, op := range c.Gone { // parts that go are a change of what stays
		c.Gone[i] = family.Op{Step: op.Step, Want: bgpPart{}}
	}
	return family.Pair{Come: sayResets(append(c.Gone, c.Come...), want, have)}
}

// sayResets adds to the changes what they cost beyond themselves.
func sayResets(ops []family.Op, want, have *spec.BGP) []family.Op {
	if have == nil {
		return ops
	}
	if len(ops) > 0 && have.RestartsFor(want) {
		ops[0].Step.Detail = addDetail(ops[0].Step.Detail, "(the daemon is started anew, its routes stay)")
		return ops
	}
	for _, n := range want.Neighbors {
		at := slices.IndexFunc(have.Neighbors, func(h spec.BGPNeighbor) bool { return h.Addr == n.Addr })
		cost := "(ends the session, a new one begins)"
		switch {
		case at < 0:
			continue
		case have.Neighbors[at].Session() != n.Session():
		case n.External && n.BFD == 0 && have.Neighbors[at].BFD != 0:
			cost = "(a router that still has BFD on begins a new session)"
		default:
			continue
		}
		for i := range ops {
			if ops[i].Step.Object == n.Object() {
				ops[i].Step.Detail = addDetail(ops[i].Step.Detail, cost)
			}
		}
	}
	return ops
}

func addDetail(detail, more string) string { return strings.TrimSpace(detail + " " + more) }

func bgpParts(s *spec.BGP) []bgpPart {
	if s == nil {
		return nil
	}
	out := []bgpPart{{"bgp " + s.Network, s.Head()}}
	for _, p := range s.Prefixes {
		name := "bgp announce " + p.String()
		out = append(out, bgpPart{name, name})
	}
	for _, p := range s.Anycast {
		name := "bgp announce " + p.String()
		out = append(out, bgpPart{name, name + " " + spec.WhileHere})
	}
	for _, n := range s.Neighbors {
		out = append(out, bgpPart{n.Object(), n.String()})
	}
	return out
}
