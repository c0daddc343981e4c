package view

import (
	"fmt"
	"maps"
	"slices"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/peering"
)

// silent are the BGP sessions of a server that should be up and are down.
func silent(out *change.Outcome, s change.Server) []string {
	if s.BGP == nil {
		return nil
	}
	return downSessions(s.BGP, awayIn(out))
}

// sessionsDoc is a summary of a server's BGP.
type sessionsDoc struct {
	Sessions int      `json:"sessions"`
	Up       int      `json:"up"`
	Down     []string `json:"down,omitempty"` // in words; without sessions with servers that are away
	// Unmatched are rules, in words, that match nothing that a neighbour announces.
	Unmatched []string `json:"unmatched,omitempty"`
	// Held are learned routes, in words, that are kept out of the kernel.
	Held []string `json:"held,omitempty"`
}

func sessionsOf(out *change.Outcome, s change.Server) *sessionsDoc {
	if s.BGP == nil {
		return nil
	}
	up, _, _ := countBGP(s.BGP)
	return &sessionsDoc{Sessions: len(s.BGP.Neighbors), Up: up, Down: silent(out, s), Unmatched: unmatched(s), Held: heldRoutes(s.Name, s.BGP)}
}

func unmatched(s change.Server) []string {
	if s.BGP == nil {
		return nil
	}
	var out []string
	for _, n := range s.BGP.Neighbors {
		out = append(out, peering.Unmatched(s.Name, n)...)
	}
	return out
}

// BGPNotes are the rules without a match and the routes kept out of the kernel, of all
// servers looked at.
func BGPNotes(list []change.Server) []ground.Note {
	var out []ground.Note
	for _, s := range list {
		texts := unmatched(s)
		if s.BGP != nil {
			texts = append(texts, heldRoutes(s.Name, s.BGP)...)
		}
		for _, text := range texts {
			out = append(out, ground.Note{Network: s.BGP.Network, Text: text})
		}
	}
	return out
}

func (d *sessionsDoc) text() string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", d.Up, d.Sessions)
}

// fewMissing is how many missing sessions and routes of a network are listed.
const fewMissing = 4

// Unheard says which sessions and routes did not come up in time.
func (a *Page) Unheard(list []ground.Note) {
	count := map[string]int{}
	for _, n := range list {
		if count[n.Network]++; count[n.Network] <= fewMissing {
			a.Say("note: %s: %s", n.Network, n.Text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if more := count[name] - fewMissing; more > 0 {
			a.Say("note: %s: and %d more, flock showbgp", name, more)
		}
	}
}

// awayIn says which servers a change found unreachable.
func awayIn(out *change.Outcome) func(server string) bool {
	away := map[string]bool{}
	for _, s := range out.Servers {
		away[s.Name] = s.State == change.Unreachable
	}
	return func(server string) bool { return away[server] }
}
