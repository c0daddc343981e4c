//go:build linux

package probe

import (
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/netspace"
	"github.com/flocknet/flock/internal/spec"
)

// TestUnderlay: what arrives is told from what is delivered, and from what was refused by who
// sends it; a port that somebody has is said; strangers' packets do not count.
func TestUnderlay(t *testing.T) {
	for family, addrs := range map[string][2]netip.Addr{
		"IPv4": {netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")},
		"IPv6": {netip.MustParseAddr("fd01::1"), netip.MustParseAddr("fd01::2")},
	} {
		t.Run(family, func(t *testing.T) {
			a, b := netspace.New(t), netspace.New(t)
			a.Sh("ip link add eth0 type veth peer name eth0 netns " + b.Path() + "; ip link set eth0 up; ip link set lo up; ip addr add 10.1.0.1/24 dev eth0; ip addr add fd01::1/64 dev eth0 nodad")
			b.Sh("ip link set eth0 up; ip link set lo up; ip addr add 10.1.0.2/24 dev eth0; ip addr add fd01::2/64 dev eth0 nodad; ip link add vx type vxlan id 1 dstport 4789 local " + addrs[1].String() + " dev eth0; ip link set vx up")
			b.Sh("nft 'add table inet wall; add chain inet wall in { type filter hook input priority 0; }; add rule inet wall in udp dport 8472 drop; add rule inet wall in meta l4proto 47 drop'")
			a.Sh("nft 'add table inet wall; add chain inet wall out { type filter hook output priority 0; }; add rule inet wall out udp dport 8285 drop'")
			group := netip.MustParseAddr("239.255.70.70")
			open := func(s *netspace.Space, own netip.Addr, run uint32) (u *Underlay) {
				var err error
				s.Do(func() {
					u, err = OpenUnderlay(&spec.UnderlayRequest{Run: run, Own: own, Ports: []int{4789, 8472, 8285, 51820}, Group: group})
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(u.Close)
				return u
			}
			here, there := open(a, addrs[0], 7), open(b, addrs[1], 7)
			if len(here.Taken()) > 0 || there.Taken()["4789"] == "" || len(there.Taken()) != 1 {
				t.Errorf("in use: %v, %v", here.Taken(), there.Taken())
			}
			packets := []spec.UnderlayPacket{
				{Number: 1, To: addrs[1], Protocol: 17, Port: 4789},
				{Number: 2, To: addrs[1], Protocol: 17, Port: 8472},
				{Number: 3, To: addrs[1], Protocol: 17, Port: 8285},
				{Number: 4, To: addrs[1], Protocol: 17, Port: 51820},
				{Number: 5, To: addrs[1], Protocol: 4},
				{Number: 6, To: addrs[1], Protocol: 47},
			}
			if family == "IPv4" {
				packets = append(packets, spec.UnderlayPacket{Number: 7, To: group, Protocol: 17, Port: 51820})
			}
			var refused []uint32
			var came []spec.UnderlayArrival
			stranger := open(a, addrs[0], 8)
			a.Do(func() {
				var err error
				if refused, err = here.Send(t.Context(), packets); err != nil {
					t.Error(err)
				}
				if _, err = stranger.Send(t.Context(), []spec.UnderlayPacket{{Number: 99, To: addrs[1], Protocol: 17, Port: 51820}}); err != nil {
					t.Error(err)
				}
				if _, err = here.Send(t.Context(), []spec.UnderlayPacket{{Number: 98, To: addrs[1], Protocol: 6}}); err == nil {
					t.Error("a protocol that nobody tries was sent")
				}
			})
			b.Do(func() {
				var err error
				if came, err = there.Came(t.Context()); err != nil {
					t.Error(err)
				}
			})
			if len(refused) != 1 || refused[0] != 3 {
				t.Errorf("refused: %v", refused)
			}
			want := map[uint32]bool{1: false, 2: false, 4: true, 5: true, 6: false}
			if family == "IPv4" {
				want[7] = true
			}
			for _, c := range came {
				delivered, known := want[c.Number]
				if !known || c.Delivered != delivered || c.Source != addrs[0] || c.Number != 7 && c.TTL != spec.UnderlayTTL {
					t.Errorf("have %+v", c)
				}
				delete(want, c.Number)
			}
			if len(want) > 0 {
				t.Errorf("did not come: %v", want)
			}
		})
	}
}
