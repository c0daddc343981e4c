package view

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// What runs full is said as soon as the next apply can do something about it, and
// otherwise when it is full.
func TestWhatRunsFullIsSaid(t *testing.T) {
	subnet := []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24")}
	c := &state.Cluster{Networks: map[string]*state.Network{
		"one":  {DHCP: state.DHCPSingle, Subnets: subnet},
		"each": {DHCP: state.DHCPDistributed, Subnets: subnet, Allocated: map[string]*state.Allocation{"s1": {ID: 1}}},
	}}
	for _, test := range []struct {
		use  spec.PoolUse
		want []string
	}{
		{spec.PoolUse{Network: "one", Used: 188, Size: 189}, nil},
		{spec.PoolUse{Network: "one", Used: 189, Size: 189}, []string{"dhcp one: 189 of 189 addresses are leased: new containers get none"}},
		{spec.PoolUse{Network: "subnet", Used: 253, Size: 253}, []string{"dhcp subnet: 253 of 253 addresses are leased: new containers get none"}},
		{spec.PoolUse{Network: "each", Used: 55, Size: 64}, nil},
		{spec.PoolUse{Network: "each", Used: 56, Size: 64}, []string{"dhcp each: 56 of 64 addresses are leased, apply deals it more"}},
	} {
		s := change.Server{Name: "s1", Plan: &spec.Plan{Pools: []spec.PoolUse{test.use}}}
		out := &change.Outcome{Cluster: c, Servers: []change.Server{s}}
		if have := leasedLines(out, s); !slices.Equal(have, test.want) {
			t.Errorf("%v: want %q, have %q", test.use, test.want, have)
		}
	}
}
