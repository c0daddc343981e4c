package edit

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

func replaced(t *testing.T) *state.Cluster {
	t.Helper()
	c := &state.Cluster{Name: "default", Servers: map[string]*state.Server{
		"s1": {Address: "10.99.0.1", Facts: &state.Facts{Machine: "m1"}, Confirmed: &state.Confirmed{Sum: "x"}},
		"s2": {Address: "10.99.0.2", Subnet: netip.MustParsePrefix("10.1.1.1/24")},
	}}
	if err := done(c, Create(c, "vx1", network.VXLAN, option.Options{})); err != nil {
		t.Fatal(err)
	}
	if err := done(c, Join(c, "vx1", []string{"s2", "s1"})); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReplaceKeepsWhatWasDealt(t *testing.T) {
	c := replaced(t)
	before := c.Clone()
	gone, err := Replace(c, &state.Cluster{
		Servers:  map[string]*state.Server{"s1": {Address: "10.99.0.7"}},
		Networks: map[string]*state.Network{"vx1": {Type: network.VXLAN, Members: []string{"s1", network.Local}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gone, []string{"s2"}) || c.Servers["s2"] == nil || c.Servers["s2"].Subnet.IsValid() {
		t.Errorf("s2: gone %v, entry %+v", gone, c.Servers["s2"])
	}
	s1 := c.Servers["s1"]
	if s1.Address != "10.99.0.7" || s1.Facts == nil || s1.Confirmed == nil {
		t.Errorf("s1: %+v", s1)
	}
	want, have := before.Networks["vx1"], c.Networks["vx1"]
	if have.VNI != want.VNI || have.Bridge != want.Bridge || !slices.Equal(have.Subnets, want.Subnets) {
		t.Errorf("vx1: want %+v, have %+v", want, have)
	}
	if have.Allocated["s1"].Addrs[0] != want.Allocated["s1"].Addrs[0] || have.Allocated["s1"].ID != want.Allocated["s1"].ID {
		t.Errorf("s1 was dealt anew: want %+v, have %+v", want.Allocated["s1"], have.Allocated["s1"])
	}
	if c.Servers[network.Local] == nil || have.Allocated[network.Local] == nil {
		t.Error("the workstation is no member")
	}
}

func TestReplaceDealsAnewInAnotherSubnet(t *testing.T) {
	c := replaced(t)
	other := netip.MustParsePrefix("10.77.0.0/24")
	wish := c.Clone()
	wish.Networks["vx1"] = &state.Network{Type: network.VXLAN, Subnets: []netip.Prefix{other}, Members: []string{"s1"}}
	if _, err := Replace(c, wish); err != nil {
		t.Fatal(err)
	}
	if have := c.Networks["vx1"].Allocated["s1"].Addrs[0]; !other.Contains(have) {
		t.Errorf("s1 has %s, which is not of %s", have, other)
	}
}

func TestReplaceRefusesWhatDoesNotFit(t *testing.T) {
	for what, wish := range map[string]*state.Cluster{
		"another cluster": {Name: "lab"},
		"unknown member":  {Networks: map[string]*state.Network{"vx1": {Type: network.VXLAN, Members: []string{"s9"}}}},
		"server gone":     {Networks: map[string]*state.Network{"vx1": {Type: network.VXLAN, Members: []string{"s1"}}}},
		"unknown type":    {Networks: map[string]*state.Network{"vx1": {Type: "vxlam"}}},
		"another name":    {Servers: map[string]*state.Server{"s1": {Address: "10.99.0.1"}, "web1": {Address: "10.99.0.1", Port: 22}}},
		"two names":       {Servers: map[string]*state.Server{"s7": {Address: "10.99.0.7"}, "s8": {Address: "10.99.0.7"}}},
		"reserved name":   {Servers: map[string]*state.Server{"client": {}}},
	} {
		if _, err := Replace(replaced(t), wish); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
