package view

import (
	"fmt"
	"slices"

	"github.com/flocknet/flock/internal/change"
)

// amiss is what is wrong with a server that has everything it should: BGP sessions that
// are down, DHCP that runs out of addresses, members of its networks that do not answer.
func amiss(out *change.Outcome, s change.Server) []string {
	return slices.Concat(silent(out, s), leasedLines(out, s), deaf(out, s.Name))
}

// deaf are the members from which a server gets no packets through its networks.
func deaf(out *change.Outcome, server string) []string {
	var lines []string
	for _, p := range out.Deaf {
		other := p.To
		if other == server {
			other = p.From
		}
		if server == p.From || server == p.To {
			lines = append(lines, fmt.Sprintf("nothing comes through %s from %s (%s)", p.Network, other, p.Over))
		}
	}
	return lines
}
