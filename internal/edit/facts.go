package edit

import (
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// FactsOf is the part of an agent's facts that the cluster file keeps.
func FactsOf(f *spec.Facts) *state.Facts {
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
