//go:build linux

package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/seed"
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

// TestDisplace does by the rules of the kernel what the marks say, from every state, and
// expects the one order; an address that stands well stays.
func TestDisplace(t *testing.T) {
	want := manyAddrs().Addrs
	sorted := strings.Fields(inOrder)
	r := seed.New(t)
	for range 2000 {
		found := slices.Clone(want)
		r.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		found = found[:r.IntN(len(found)+1)]
		var list []foundAddr
		for _, a := range found {
			list = append(list, foundAddr{Addr: a})
		}
		// The kernel lists the families apart.
		four := func(f foundAddr) int { return f.Prefix.Addr().BitLen() }
		slices.SortStableFunc(list, func(a, b foundAddr) int { return four(a) - four(b) })
		from := fmt.Sprint(list)
		var now []string
		marked := displace(want, list)
		for _, a := range marked {
			now = append(now, a.Prefix.String())
		}
		for _, op := range diffAddrs(want, marked).Come {
			p := op.Want.(spec.Addr).Prefix
			now = slices.DeleteFunc(now, func(s string) bool { return s == p.String() })
			// A new IPv4 address comes last, a new IPv6 address first.
			six := slices.IndexFunc(now, func(s string) bool { return strings.Contains(s, ":") })
			if six < 0 {
				six = len(now)
			}
			now = slices.Insert(now, six, p.String())
		}
		if !slices.Equal(now, sorted) {
			t.Fatalf("from %s: want %v, have %v", from, sorted, now)
		}
	}
	if slices.ContainsFunc(displace(want, listed(sorted)), func(a spec.Addr) bool { return a.Displaced }) {
		t.Fatal("what is in order is marked")
	}
}

func listed(sorted []string) []foundAddr {
	var out []foundAddr
	for _, p := range sorted {
		out = append(out, foundAddr{Addr: spec.Addr{Link: "vxl0", Prefix: prefix(p)}})
	}
	return out
}
