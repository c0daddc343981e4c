package network

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/state"
)

// cluster is n servers s1…sn that were contacted, in one underlay.
func cluster(tb testing.TB, n int) *state.Cluster {
	tb.Helper()
	c := &state.Cluster{Schema: state.Schema, Name: "default", ID: "test", Servers: map[string]*state.Server{}}
	addr := netip.MustParseAddr("172.16.0.1")
	for i := range n {
		c.Servers[fmt.Sprintf("s%d", i+1)] = &state.Server{Address: addr.String(), Facts: &state.Facts{Default4: "eth0", Interfaces: []state.Interface{
			{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 12)}},
		}}}
		addr = addr.Next()
	}
	return c
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
