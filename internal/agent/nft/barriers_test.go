//go:build linux

package nft

import (
	"reflect"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// Chains of others are told with what they do to forwarded packets: policies, a last rule for all,
// devices and prefixes that they accept, as nft writes these, and accepts of ours.
func TestChainsOfOthers(t *testing.T) {
	h := newHost(t)
	h.Sh(`nft '
add table ip filter
add chain ip filter DOCKER-USER
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add rule ip filter DOCKER-USER iifname vxl0 accept comment "flock:c1/vx"
add table inet wall
add chain inet wall mid { type filter hook forward priority 0; }
add rule inet wall mid iifname br0 accept
add rule inet wall mid ip saddr 10.244.0.0/16 accept
add rule inet wall mid ip daddr 10.1.2.0/23 accept
add rule inet wall mid ip6 saddr fd00:1::/64 accept
add rule inet wall mid ip saddr 10.9.0.0/16 drop
add rule inet wall mid counter reject
add chain inet wall late { type filter hook forward priority 10; }
add rule inet wall late drop
add rule inet wall late tcp dport 80 drop
add chain inet wall in { type filter hook input priority 0; policy drop; }
'`)
	n := newFilters("c1")
	h.Do(func() {
		have, err := n.Chains()
		if err != nil {
			t.Error(err)
		}
		want := []spec.Chain{
			{Family: 2, Table: "filter", Name: "DOCKER-USER", Lets: []string{"vxl0"}, Accepts: []string{"flock:c1/vx"}},
			{Family: 2, Table: "filter", Name: "FORWARD", Forward: true, Drops: true},
			{Family: 1, Table: "wall", Name: "mid", Forward: true, Refuses: true, Lets: []string{"br0", "10.244.0.0/16", "10.1.2.0/23", "fd00:1::/64"}},
			{Family: 1, Table: "wall", Name: "late", Forward: true},
			{Family: 1, Table: "wall", Name: "in"},
		}
		for _, one := range want {
			found := false
			for _, c := range have {
				found = found || reflect.DeepEqual(one, c)
			}
			if !found {
				t.Errorf("want %+v, have %+v", one, have)
			}
		}
		if len(have) != len(want) {
			t.Errorf("want %d chains, have %d", len(want), len(have))
		}
	})
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
