package prefix

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/seed"
)

func parse(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestEnds(t *testing.T) {
	for text, want := range map[string][2]string{
		"10.0.4.0/24": {"10.0.4.255", "10.0.4.254"}, "10.0.4.9/24": {"10.0.4.255", "10.0.4.254"}, "0.0.0.0/0": {"255.255.255.255", "255.255.255.254"},
		"fd00::/64": {"fd00::ffff:ffff:ffff:ffff", "fd00::ffff:ffff:ffff:ffff"}, "10.0.0.7/32": {"10.0.0.7", "10.0.0.6"},
	} {
		p := netip.MustParsePrefix(text)
		if have := [2]string{Last(p).String(), Top(p).String()}; have != want {
			t.Errorf("%s: want %v, have %v", p, want, have)
		}
	}
}

func TestHostOf(t *testing.T) {
	for text, want := range map[string][]string{
		"10.0.6.0/30": {"10.0.6.1", "10.0.6.2"}, "10.0.6.0/31": {"10.0.6.0", "10.0.6.1"},
		"fd00::/126": {"fd00::1", "fd00::2", "fd00::3"}, "fd00::/127": {"fd00::", "fd00::1"},
	} {
		p := netip.MustParsePrefix(text)
		var have []string
		for a := p.Addr().Prev(); a != Last(p).Next().Next(); a = a.Next() {
			if HostOf(p, a) {
				have = append(have, a.String())
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: want %v, have %v", p, want, have)
		}
	}
}

// What is dealt is apart from what is taken, and private; a full range leads to the next.
func TestFreeBeside(t *testing.T) {
	for _, c := range []struct {
		want, like string
		taken      []netip.Prefix
	}{
		{"10.0.4.0/24", "10.0.4.0/24", nil},
		{"10.0.6.0/24", "10.0.4.0/24", parse("10.0.4.0/23")},
		{"172.16.0.0/24", "10.0.4.0/24", parse("10.0.0.0/8")},
		{"10.0.0.0/24", "10.0.4.0/24", parse("10.0.1.0/24", "10.0.2.0/23", "10.0.4.0/22", "10.0.8.0/21", "10.0.16.0/20", "10.0.32.0/19", "10.0.64.0/18", "10.0.128.0/17", "10.1.0.0/16",
			"10.2.0.0/15", "10.4.0.0/14", "10.8.0.0/13", "10.16.0.0/12", "10.32.0.0/11", "10.64.0.0/10", "10.128.0.0/9", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")},
		{"fd00:4:0:1::/64", "fd00:4::/64", parse("fd00:4::/64")},
		{"", "10.0.4.0/24", Private()},
	} {
		have, ok := FreeBeside(c.taken, netip.MustParsePrefix(c.like))
		if ok != (c.want != "") || ok && have.String() != c.want {
			t.Errorf("beside %v: want %s, have %s, %v", c.taken, c.want, have, ok)
		}
		if ok && !IsPrivate(have) {
			t.Errorf("%s is not private", have)
		}
	}
}

// Aggregate covers what the list covers, no more, by prefixes that are apart and sorted.
func TestAggregate(t *testing.T) {
	random := seed.New(t)
	for range 300 {
		var list []netip.Prefix
		for range random.IntN(12) {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(256))})
			list = append(list, netip.PrefixFrom(a, 24+random.IntN(9)).Masked())
		}
		sum := Aggregate(list)
		for a := netip.MustParseAddr("10.0.0.0"); a != netip.MustParseAddr("10.0.1.0"); a = a.Next() {
			in := func(p netip.Prefix) bool { return p.Contains(a) }
			if slices.ContainsFunc(list, in) != slices.ContainsFunc(sum, in) {
				t.Fatalf("%v became %v, which differs at %s", list, sum, a)
			}
		}
		for i := 1; i < len(sum); i++ {
			if sum[i-1].Overlaps(sum[i]) || Compare(sum[i-1], sum[i]) >= 0 {
				t.Fatalf("%v are not apart, or not sorted", sum)
			}
		}
	}
}
