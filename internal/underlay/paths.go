package underlay

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// Outcome is what came of a service on a path.
type Outcome string

// What a service on a path can be.
const (
	Passes   Outcome = "passes"
	Lost     Outcome = "lost"     // it left, and did not arrive
	Filtered Outcome = "filtered" // it arrived, and the server's own packet filter dropped it
	Refused  Outcome = "refused"  // the sender's own packet filter did not let it out
)

// Path is from one server to another, below all networks.
type Path struct {
	From, To string
	Echoed   spec.Echoed
	Services map[Service]Outcome
	Hops     int        // routers between; -1: nothing arrived that could tell
	Seen     netip.Addr // source address that To sees; invalid: none
	Route    spec.UnderlayRoute
}

// Translated says whether another address arrives than the one that was sent from.
func (p Path) Translated() bool { return p.Seen.IsValid() && p.Seen != p.Echoed.Echo.From }

// Dead says whether nothing at all arrives, and no echo comes back; multicast aside, which may
// take another path.
func (p Path) Dead() bool {
	if p.Echoed.Heard > 0 {
		return false
	}
	for s, o := range p.Services {
		if !s.Group.IsValid() && o != Lost {
			return false
		}
	}
	return true
}

// Heard is what came to each server, and what was not let out by its sender.
type Heard struct {
	Came    map[string][]spec.UnderlayArrival
	Refused map[uint32]bool
}

// Paths judges what came. Servers are those that answered to the end.
func Paths(servers []Server, services []Service, by map[uint32]Probed, h Heard, echoed map[[2]string]spec.Echoed, routes map[[2]string]spec.UnderlayRoute) []Path {
	named := map[string]Server{}
	for _, s := range servers {
		named[s.Name] = s
	}
	arrived := map[[2]string]map[Service]spec.UnderlayArrival{}
	for to, list := range h.Came {
		for _, a := range list {
			p, known := by[a.Number]
			if !known || p.To != "" && p.To != to || p.From == to {
				continue // it came another way round
			}
			key := [2]string{p.From, to}
			if arrived[key] == nil {
				arrived[key] = map[Service]spec.UnderlayArrival{}
			}
			arrived[key][p.Service] = a
		}
	}
	refused := map[string]map[Probed]bool{}
	for number := range h.Refused {
		p := by[number]
		if refused[p.From] == nil {
			refused[p.From] = map[Probed]bool{}
		}
		refused[p.From][p] = true
	}
	var out []Path
	for _, from := range servers {
		for _, to := range servers {
			if !from.tries(to) {
				continue
			}
			key := [2]string{from.Name, to.Name}
			p := Path{From: from.Name, To: to.Name, Echoed: echoed[key], Services: map[Service]Outcome{}, Hops: -1, Route: routes[key]}
			for _, s := range services {
				if s.Group.IsValid() && !from.Addr.Is4() {
					continue
				}
				sent := Probed{from.Name, to.Name, s}
				if s.Group.IsValid() {
					sent.To = ""
				}
				a, came := arrived[key][s]
				p.Services[s] = outcome(a, came, refused[from.Name][sent], named[to.Name].Taken[s.Port] != "" && s.Protocol == UDP)
				if !came || s.Group.IsValid() || a.TTL == 0 {
					continue
				}
				// A router may translate one protocol, and leave flows alone that it knew before.
				if p.Hops = spec.UnderlayTTL - a.TTL; !p.Translated() {
					p.Seen = a.Source
				}
			}
			out = append(out, p)
		}
	}
	return out
}

// outcome of a service. To a port that somebody has nothing is delivered that could be seen.
func outcome(a spec.UnderlayArrival, came, refused, taken bool) Outcome {
	switch {
	case a.Delivered, came && taken:
		return Passes
	case came:
		return Filtered
	case refused:
		return Refused
	}
	return Lost
}

// Missing are the numbers of packets that did not arrive and were not refused: they may have
// been lost by chance.
func Missing(by map[uint32]Probed, servers []Server, h Heard) []uint32 {
	here := map[string]map[uint32]bool{}
	for _, s := range servers {
		here[s.Name] = map[uint32]bool{}
		for _, a := range h.Came[s.Name] {
			p := by[a.Number]
			here[s.Name][a.Number] = a.Delivered || p.Protocol == UDP && s.Taken[p.Port] != ""
		}
	}
	var out []uint32
	for number, p := range by {
		lacks := func(s Server) bool {
			return s.Name != p.From && (s.With == nil || s.With[p.From]) && !here[s.Name][number]
		}
		switch {
		case h.Refused[number]:
		case p.To == "" && slices.ContainsFunc(servers, lacks), p.To != "" && lacks(Server{Name: p.To}):
			out = append(out, number)
		}
	}
	slices.Sort(out)
	return out
}
