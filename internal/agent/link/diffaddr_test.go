package link

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

// TestDisplace does by the rules of the kernel what the marks say, from every state, and
// expects the one order; an address that stands well stays.
func TestDisplace(t *testing.T) {
	sorted := strings.Fields("10.0.4.254/24 10.0.4.1/32 10.0.4.192/32 fd04::fe/64 fd04::1/128 fd04::c0/128")
	var want []spec.Addr
	for _, p := range sorted {
		want = append(want, spec.Addr{Link: "vxl0", Prefix: netip.MustParsePrefix(p)})
	}
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
		out = append(out, foundAddr{Addr: spec.Addr{Link: "vxl0", Prefix: netip.MustParsePrefix(p)}})
	}
	return out
}

func TestOwnAddressesAreAddedFirst(t *testing.T) {
	want := []spec.Addr{
		{Link: "vxl0", Prefix: netip.MustParsePrefix("10.0.4.1/32")}, {Link: "vxl0", Prefix: netip.MustParsePrefix("10.0.4.254/24")},
	}
	var have []string
	for _, op := range diffAddrs(want, nil).Come {
		have = append(have, op.Step.Object)
	}
	if want := []string{"addr 10.0.4.254/24 dev vxl0", "addr 10.0.4.1/32 dev vxl0"}; !slices.Equal(have, want) {
		t.Errorf("want %q, have %q", want, have)
	}
}

// With the last IPv4 address of a device its routes would go: another comes first.
func TestAddressFollows(t *testing.T) {
	addr := func(link, text string) spec.Addr { return spec.Addr{Link: link, Prefix: netip.MustParsePrefix(text)} }
	want := &spec.Host{
		Links: []spec.Link{{Name: "vxl0", Kind: spec.Bridge}, {Name: "n1-vx", Kind: spec.VXLAN}},
		Addrs: []spec.Addr{addr("vxl0", "10.0.5.1/24"), addr("n1-vx", "10.9.0.0/32"), addr("wg-a", "10.0.8.9/24")},
	}
	for gone, follows := range map[spec.Addr]bool{
		addr("n1-vx", "10.8.0.0/32"): true, addr("n1-vx", "fd00::/128"): false, addr("vxl0", "10.0.4.1/24"): false,
		addr("wg-a", "10.0.8.2/24"): false, addr("wg-a", "10.0.7.2/24"): true, addr("wg-b", "10.0.7.2/24"): false,
	} {
		if followed(want, gone) != follows {
			t.Errorf("%s: want %v", gone, follows)
		}
	}
}
