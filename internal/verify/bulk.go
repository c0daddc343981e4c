package verify

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// AskBulk sends a request about data to servers at once. Who did not answer has no reply: an
// error here is no news about a path.
type AskBulk func(of map[string]*spec.BulkRequest) map[string]*spec.BulkReply

// bulk is the sending of TCP data between members that answer echoes.
type bulk struct {
	legs []Tried
	ask  AskBulk
	port map[netip.Addr]int // by address that somebody listens at
	bad  map[string]uint64  // segments with a wrong checksum, by server, as last read
}

// Flow sends data on the legs of rounds, one round after the other, and again, alone, on those
// where not all of it arrived. Who accepts no connection is not asked twice. With alone, no server
// has part in more than one test at a time.
func Flow(legs []Tried, all, alone bool, ask AskBulk) {
	most := bulkOnce
	if alone {
		most = 1
	}
	rounds := Bulks(legs, all, most)
	b := &bulk{legs: legs, ask: ask, port: map[netip.Addr]int{}, bad: map[string]uint64{}}
	b.listen(slices.Concat(rounds...))
	var again []int
	for _, round := range rounds {
		b.send(round)
		for _, i := range round {
			if s := legs[i].State(); s == Stalls || s == Broken {
				again = append(again, i)
			}
		}
	}
	for _, i := range again {
		b.send([]int{i})
	}
}

// listen opens the ports that the legs lead to.
func (b *bulk) listen(legs []int) {
	of := map[string]*spec.BulkRequest{}
	for _, i := range legs {
		t := b.legs[i]
		for server, at := range map[string]netip.Addr{t.To: t.Leg.Echo.To, t.From: {}} {
			if of[server] == nil {
				of[server] = &spec.BulkRequest{}
			}
			if at.IsValid() {
				of[server].Admit = append(of[server].Admit, t.Leg.Echo.From)
				if !slices.Contains(of[server].At, at) {
					of[server].At = append(of[server].At, at)
				}
			}
		}
	}
	for server, reply := range b.ask(of) {
		b.bad[server] = reply.BadSums
		for i, port := range reply.Ports {
			b.port[of[server].At[i]] = port
		}
	}
}

// send sends data on the legs of a round, and looks at the checksums of both ends where it did
// not arrive.
func (b *bulk) send(round []int) {
	of, legs := map[string]*spec.BulkRequest{}, map[string][]int{}
	for _, i := range round {
		t := b.legs[i]
		port := b.port[t.Leg.Echo.To]
		if port == 0 {
			continue
		}
		if of[t.From] == nil {
			of[t.From] = &spec.BulkRequest{}
		}
		of[t.From].Flows = append(of[t.From].Flows, spec.Bulk{From: t.Leg.Echo.From, To: t.Leg.Echo.To, Port: port})
		legs[t.From] = append(legs[t.From], i)
	}
	look := map[string]*spec.BulkRequest{}
	for server, reply := range b.ask(of) {
		for k, i := range legs[server] {
			b.legs[i].Flow = &reply.Flows[k]
			if !reply.Flows[k].Whole {
				look[server], look[b.legs[i].To] = &spec.BulkRequest{}, &spec.BulkRequest{}
			}
		}
	}
	now := map[string]uint64{}
	for server, reply := range b.ask(look) {
		now[server] = reply.BadSums
	}
	for _, i := range round {
		t := &b.legs[i]
		t.BadSums = [2]bool{}
		if t.Flow != nil && !t.Flow.Whole {
			t.BadSums = [2]bool{now[t.From] > b.bad[t.From], now[t.To] > b.bad[t.To]}
		}
	}
	for server, n := range now {
		b.bad[server] = n
	}
}
