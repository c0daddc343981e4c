package edit

import (
	"net/netip"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/prefix"
	"github.com/flocknet/flock/internal/state"
)

// sharing is a BGP network with reflectors of n members, a subnet behind each.
func sharing(tb testing.TB, n int) *state.Cluster {
	tb.Helper()
	c := cluster(tb, n)
	names := c.ServerNames()
	var shares []string
	subnet := netip.MustParsePrefix("10.0.0.0/24")
	for _, name := range names {
		shares = append(shares, name+":"+subnet.String())
		subnet = netip.PrefixFrom(prefix.Last(subnet).Next(), 24)
	}
	for _, err := range []error{
		done(c, CreateBGP(c, "bnet", names[0], BGPOptions{Mode: state.Reflector})),
		done(c, JoinBGP(c, "bnet", names[1:])),
		done(c, ShareBGP(c, "bnet", shares, false, false)),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	return c
}

// halfSecond fails b if a turn took more than half a second.
func halfSecond(b *testing.B) {
	b.Helper()
	if each := b.Elapsed() / time.Duration(b.N); each > time.Second/2 {
		b.Errorf("one took %v, want at most 0.5 s", each)
	}
}

// BenchmarkShares10k completes a BGP network of 10,000 members with a share each. The
// target is 0.5 s.
func BenchmarkShares10k(b *testing.B) {
	c := sharing(b, 10000)
	b.ResetTimer()
	for b.Loop() {
		if err := network.Complete(c); err != nil {
			b.Fatal(err)
		}
	}
	halfSecond(b)
}

// BenchmarkVXLANL3 compiles a network of 1,000 members, each with a route, a neighbour
// and a forwarding entry for every other, and sums all specs up. The target is 0.5 s
// for the first.
func BenchmarkVXLANL3(b *testing.B) {
	c := cluster(b, 1000)
	for _, err := range []error{
		done(c, Create(c, "n1", network.VXLANL3, option.Options{"subnet": prefixes("10.0.0.0/8")})),
		done(c, Join(c, "n1", c.ServerNames())),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			compiled(b, c)
		}
		halfSecond(b)
	})
	b.Run("sum", func(b *testing.B) {
		hosts := compiled(b, c)
		for b.Loop() {
			for _, h := range hosts {
				h.Sum()
			}
		}
	})
}
