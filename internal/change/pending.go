package change

import (
	"slices"

	"github.com/flocknet/flock/internal/cloud"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Pending returns the servers that have not confirmed what the cluster file asks of
// them, sorted. A member that was never contacted is pending: its underlay address is
// not known.
func Pending(c *state.Cluster, compiled *ground.Compiled) []string {
	return pending(c, compiled, sums{})
}

func pending(c *state.Cluster, compiled *ground.Compiled, sums sums) []string {
	members := ground.Memberships(c)
	problem := map[string]bool{}
	for _, p := range compiled.Problems {
		problem[p.Server] = true
	}
	var out []string
	for _, name := range c.ServerNames() {
		s, confirmed := c.Servers[name], ""
		if s.Confirmed != nil {
			confirmed = s.Confirmed.Sum
		}
		unknown := s.Facts == nil && len(members[name]) > 0
		if unknown || problem[name] || sums.of(compiled.Hosts[name]) != confirmed {
			out = append(out, name)
		}
	}
	out = append(out, cloud.Pending(compiled.Clouds, c.Clouds)...)
	slices.Sort(out)
	return out
}

// sums are checksums of hosts that do not change any more, each computed once.
type sums map[*spec.Host]string

func (s sums) of(h *spec.Host) string {
	sum, known := s[h]
	if !known {
		sum = h.Sum()
		s[h] = sum
	}
	return sum
}
