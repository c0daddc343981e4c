//go:build linux

package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/flocknet/flock/internal/vm"
)

// What a network of ours carries between containers is set beside the same network
// made with ip(8), wg(8) and bridge(8), in one run:
//
//   - Each iteration of a benchmark is one round, a stream of a second over either,
//     and what counts is the median of the rounds' ratios: whatever else the machine
//     does meanwhile falls on both alike (-benchtime 21x).
//   - Either side's servers masquerade their containers towards the outside by a rule
//     that is not ours, as Docker, libvirt, LXC and CNI plugins bring along. They
//     track connections then, which is what a source address that is kept costs
//     (keepObject). Beside servers that track none, see docs/bench.md.
//   - Either side's daemons run in sessions of their own, as on servers of their own:
//     Linux divides processors among sessions first (sched_autogroup, sched(7)).

// besideByHand streams between containers of ours and of hand by turns and reports
// both in Gbit/s, and ours as part of hand's. It fails where this is below bound.
func besideByHand(b *testing.B, bound float64, mtu int, ours, hand *mesh) {
	b.Helper()
	sides := []*mesh{ours.contained(b, mtu), hand.contained(b, mtu)}
	shares := inTurns(b, []string{"", "-by-hand"}, func(i int) float64 { return sides[i].stream(b, "10.0.11.2", "10.0.12.2") })[1]
	share := middle(shares)
	b.ReportMetric(share, "ratio")
	if share < bound {
		b.Errorf("want %.2f of what is set up by hand, have %.3f, the median of %d rounds", bound, share, len(shares))
	}
}

// inTurns measures sides by turns, a round per iteration after one that does not count,
// and reports their medians in Gbit/s, with what says which. It returns what the first
// was of each in each round.
func inTurns(b *testing.B, sides []string, measure func(side int) float64) (shares [][]float64) {
	b.Helper()
	for i := range sides {
		measure(i)
	}
	speeds, shares := make([][]float64, len(sides)), make([][]float64, len(sides))
	for round := 0; b.Loop(); round++ {
		now := make([]float64, len(sides))
		for i := range sides {
			i = (i + round) % len(sides) // nobody is always first
			now[i] = measure(i)
		}
		for i := range sides {
			speeds[i], shares[i] = append(speeds[i], now[i]), append(shares[i], now[0]/now[i])
		}
	}
	for i, side := range sides {
		b.ReportMetric(middle(speeds[i]), "Gbit/s"+side)
	}
	b.ReportMetric(0, "ns/op")
	return shares
}

// middle is the median.
func middle(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// contained plugs a container into the bridge of each machine, 10.0.1N.2, lets the
// machines masquerade them and returns the containers, which reach each other.
func (m *mesh) contained(b *testing.B, mtu int) *mesh {
	b.Helper()
	out := &mesh{t: b}
	for i, s := range m.machines {
		c := newMachine(b)
		c.sh("ip link del eth0")
		s.sh(fmt.Sprintf("ip link add c%d type veth peer name eth0 netns %s; ip link set c%d master app0 up", i, c.pid, i))
		c.sh(fmt.Sprintf("ip addr add 10.0.1%d.2/24 dev eth0; ip link set eth0 mtu %d up; ip route add default via 10.0.1%d.1", i+1, mtu, i+1))
		s.sh(fmt.Sprintf(`nft 'table ip outside { chain post { type nat hook postrouting priority 100;
			ip saddr 10.0.1%d.0/24 ip daddr != 10.0.0.0/16 masquerade; }; }'`, i+1))
		out.machines = append(out.machines, c)
	}
	// A port of a bridge takes a moment; the first packets wake tunnels up.
	out.machines[0].sh("for i in $(seq 20); do ping -q -c 1 -W 1 10.0.12.2 && exit; done; exit 1")
	return out
}

// stream is one TCP stream of a second from an address of machine 0 to one of
// machine 1, in Gbit/s.
func (m *mesh) stream(b *testing.B, from, to string) float64 {
	b.Helper()
	m.machines[1].sh("iperf3 -s -1 -D -B " + to + "; for i in $(seq 100); do ss -Hltn | grep -q 5201 && break; sleep 0.02; done")
	window := ""
	if vm.Inside() { // one that grows, grows differently each time: 3 % of a short, slow stream
		window = " -w 200K"
	}
	var result struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(m.machines[0].sh("iperf3 -J -t 1"+window+" -B "+from+" -c "+to)), &result); err != nil {
		b.Fatal(err)
	}
	return result.End.Received.Bits / 1e9
}
