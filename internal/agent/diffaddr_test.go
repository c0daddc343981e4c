//go:build linux

package agent

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// manyAddrs is a segment whose bridge has three addresses of each family.
func manyAddrs() *spec.Host {
	h := segment()
	h.Addrs = nil
	for _, p := range []string{"10.0.4.254/24", "10.0.4.1/32", "10.0.4.192/32", "fd04::fe/64", "fd04::1/128", "fd04::c0/128"} {
		h.Addrs = append(h.Addrs, spec.Addr{Link: "vxl0", Prefix: prefix(p)})
	}
	return h
}

const inOrder = "10.0.4.254/24 10.0.4.1/32 10.0.4.192/32 fd04::fe/64 fd04::1/128 fd04::c0/128"

// addrsOf lists the bridge's addresses as ip does.
func addrsOf(t *testing.T) string {
	t.Helper()
	out := sh(t, "ip -o addr show dev vxl0 | awk '!/ fe80:/ {print $4}'")
	return strings.Join(strings.Fields(out), " ")
}

// TestAddressesHaveOneOrder: whatever is taken away or put in front, the server's own
// addresses are first again, and of the others no more is touched than has to be.
func TestAddressesHaveOneOrder(t *testing.T) {
	ownNet(t)
	k := open(t, "t", t.TempDir())
	apply(t, k, manyAddrs())
	if have := addrsOf(t); have != inOrder {
		t.Fatalf("as made: want %s, have %s", inOrder, have)
	}
	for _, c := range []struct{ done, steps string }{
		{"ip addr del 10.0.4.192/32 dev vxl0", "+ addr 10.0.4.192/32 dev vxl0"},
		{"ip addr del 10.0.4.1/32 dev vxl0; ip addr add 10.0.4.1/32 dev vxl0", "~ addr 10.0.4.192/32 dev vxl0: out of order"},
		{"ip addr del 10.0.4.1/32 dev vxl0", "+ addr 10.0.4.1/32 dev vxl0\n~ addr 10.0.4.192/32 dev vxl0: out of order"},
		{"ip addr del fd04::c0/128 dev vxl0; ip addr add fd04::c0/128 dev vxl0 nodad", "~ addr fd04::1/128 dev vxl0: out of order\n~ addr fd04::fe/64 dev vxl0: out of order"},
		{"ip addr del fd04::fe/64 dev vxl0", "+ addr fd04::fe/64 dev vxl0"},
		{"ip addr add 10.0.4.77/24 dev vxl0", "- addr 10.0.4.77/24 dev vxl0"},
	} {
		sh(t, c.done)
		converge(t, k, manyAddrs(), c.steps)
		if have := addrsOf(t); have != inOrder {
			t.Errorf("after %s: want %s, have %s", c.done, inOrder, have)
		}
	}
}

// TestOwnAddressComesBackFirst: with its own address the server loses its routes by it.
// What somebody else put in its subnet takes it along when it goes, or does not, as
// promote_secondaries says.
func TestOwnAddressComesBackFirst(t *testing.T) {
	ownNet(t)
	for _, promote := range []string{"0", "1"} {
		k := open(t, "t", t.TempDir())
		apply(t, k, manyAddrs())
		sh(t, "sysctl -qw net.ipv4.conf.all.promote_secondaries="+promote)
		for _, done := range []string{
			"ip addr del 10.0.4.254/24 dev vxl0",
			"ip addr del 10.0.4.254/24 dev vxl0; ip addr add 10.0.4.254/24 dev vxl0",
			"ip addr del 10.0.4.254/24 dev vxl0; ip addr add 10.0.4.77/24 dev vxl0; ip addr add 10.0.4.254/24 dev vxl0",
			"ip addr flush dev vxl0; ip addr add fd04::1/128 dev vxl0 nodad; ip addr add 10.0.4.1/32 dev vxl0",
		} {
			sh(t, done)
			apply(t, k, manyAddrs())
			if have := addrsOf(t); have != inOrder {
				t.Errorf("promote %s, after %s: want %s, have %s", promote, done, inOrder, have)
			}
		}
	}
}
