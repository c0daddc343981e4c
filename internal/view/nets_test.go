package view

import (
	"testing"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// TestNetsOfGuests: a guest that is shut off has its interfaces, which come with it, and says so.
func TestNetsOfGuests(t *testing.T) {
	c := &state.Cluster{Name: "t", Servers: map[string]*state.Server{"s1": {Attached: []state.Attachment{
		{Container: "libvirt/web", Interface: "eth1", Bridge: "vxl0"}, {Container: "libvirt/web", Interface: "eth2", Bridge: "vxl0"},
	}}}}
	of := func(stopped bool) []spec.Container {
		return []spec.Container{{Name: "libvirt/web", Stopped: stopped, Interfaces: []spec.ContainerInterface{{Name: "eth0"}, {Name: "eth1", Owner: "t"}}}}
	}
	for stopped, want := range map[bool][]string{true: {netStopped, netAwaited, netAwaited}, false: {netForeign, netAttached, netAwaited}} {
		have := Nets(c, "s1", of(stopped))
		for i, v := range have {
			if len(have) != len(want) || v.State != want[i] {
				t.Errorf("stopped %v: %s is %s, want %v", stopped, v.Interface, v.State, want)
			}
		}
	}
}
