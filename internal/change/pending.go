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

// factsOf is the part of an agent's facts that the cluster file keeps.
func factsOf(f *spec.Facts) *state.Facts {
	out := &state.Facts{
		Machine: f.Machine, Arch: f.Arch, Place: f.Place, Init: f.Init, Default4: f.Default4, Default6: f.Default6, Metric4: f.Metric4, Metric6: f.Metric6,
		Prefixes: f.Prefixes, Routed: f.Routed, Local: f.Local, Awaited: f.Awaited, WireGuard: f.WireGuard,
	}
	for _, i := range f.Interfaces {
		out.Interfaces = append(out.Interfaces, state.Interface{Name: i.Name, MTU: i.MTU, Addrs: i.Addrs, Direct: i.Direct})
	}
	for _, n := range f.Cloud {
		out.Cloud = append(out.Cloud, state.CloudNIC(n))
	}
	return out
}
