package edit

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// TestLeavingNamesEachThingOnce: what goes with its network or server is not named
// beside it.
func TestLeavingNamesEachThingOnce(t *testing.T) {
	router := state.External{Server: "s1", Address: netip.MustParseAddr("10.99.0.4"), AS: 65001}
	was := &state.Cluster{
		Servers: map[string]*state.Server{
			"s1": {Subnet: netip.MustParsePrefix("10.1.0.1/24")}, "s2": {}, "s3": {Subnet: netip.MustParsePrefix("10.3.0.1/24")},
		},
		Networks: map[string]*state.Network{
			"gone": {Type: network.VXLAN, Members: []string{"s1", "s2"}},
			"b":    {Type: network.BGP, Members: []string{"s1", "s2", "s3"}, Shares: []string{"s1:10.1.0.0/24", "s3:10.3.0.0/24"}, Externals: []state.External{router}},
		},
	}
	now := was.Clone()
	if have := Leaving(was, now, nil); len(have) > 0 {
		t.Errorf("nothing leaves, have %q", have)
	}
	delete(now.Networks, "gone")
	now.Networks["b"].Members = []string{"s1"}
	now.Networks["b"].Shares, now.Networks["b"].Externals = nil, nil
	now.Servers["s1"].Subnet, now.Servers["s3"].Subnet = netip.MustParsePrefix("10.1.1.1/24"), netip.Prefix{}
	want := []string{"network gone", "server s3", "s2 from b", "subnet 10.1.0.0/24 of s1 from b", "router 10.99.0.4 of s1 from b", "subnet 10.1.0.0/24 of s1"}
	if have := Leaving(was, now, []string{"s3"}); !slices.Equal(have, want) {
		t.Errorf("want %q\nhave %q", want, have)
	}
}
