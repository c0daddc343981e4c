package view

import (
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
)

// running are the DHCP ranges of a server that are nearly full: more, if the next apply
// enlarges them; full, if new containers get no address.
func running(out *change.Outcome, s change.Server) (more, full []spec.PoolUse) {
	if s.Plan == nil || out.Cluster == nil {
		return nil, nil
	}
	for _, use := range s.Plan.Pools {
		n := out.Cluster.Networks[use.Network]
		switch {
		case n != nil && use.NearlyFull() && segment.MoreToDeal(n):
			more = append(more, use)
		case use.Full():
			full = append(full, use)
		}
	}
	return more, full
}

// leasedLines describes a server's DHCP ranges that are nearly full.
func leasedLines(out *change.Outcome, s change.Server) []string {
	var lines []string
	more, full := running(out, s)
	for _, use := range more {
		lines = append(lines, leasedText(use)+", apply deals it more")
	}
	for _, use := range full {
		lines = append(lines, leasedText(use)+": new containers get none")
	}
	return lines
}

func leasedText(use spec.PoolUse) string {
	return fmt.Sprintf("dhcp %s: %d of %d addresses are leased", use.Network, use.Used, use.Size)
}

// poolDoc is how many of the IPv4 addresses that a server hands out in a network are
// leased.
type poolDoc struct {
	Network string `json:"network"`
	Leased  int    `json:"leased"`
	Size    int    `json:"size"`
}

func poolsOf(s change.Server) []poolDoc {
	if s.Plan == nil {
		return nil
	}
	var out []poolDoc
	for _, use := range s.Plan.Pools {
		out = append(out, poolDoc{use.Network, use.Used, use.Size})
	}
	return out
}
