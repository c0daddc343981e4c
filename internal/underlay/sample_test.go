package underlay

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// TestSample: of many servers each is tried with as many others, both ways, and what goes to a group
// is missed only where it counts; of few, or with all, each pair is tried.
func TestSample(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		servers int
		all     bool
		with    int
	}{{50, false, 49}, {51, false, 32}, {200, false, 32}, {60, true, 59}} {
		var names []string
		for i := range test.servers {
			names = append(names, fmt.Sprint("s", i))
		}
		sample := Sample(names, test.all)
		var servers []Server
		for i, name := range names {
			servers = append(servers, Server{Name: name, Addr: netip.AddrFrom4([4]byte{10, 99, byte(i / 250), byte(i%250 + 1)}), MTU: 1500, With: sample[name]})
		}
		services := Services([]int{4789})
		by, send := Packets(servers, services)
		paths := Paths(servers, services, by, Heard{}, nil, nil)
		if len(paths) != test.servers*test.with {
			t.Errorf("%d servers: want %d paths, have %d", test.servers, test.servers*test.with, len(paths))
		}
		of := map[[2]string]bool{}
		for _, p := range paths {
			of[[2]string{p.From, p.To}] = true
		}
		h := Heard{Came: map[string][]spec.UnderlayArrival{}}
		for _, s := range servers {
			if echoes, _ := Echoes(servers, s); len(echoes) != test.with || len(send[s.Name]) != 3*test.with+1 {
				t.Errorf("%d servers: %s sends %d echoes, %d packets", test.servers, s.Name, len(echoes), len(send[s.Name]))
			}
			for number, p := range by {
				if !of[[2]string{s.Name, p.From}] && s.Name != p.From && p.To == "" {
					continue // it is not tried with that one: it may have missed it
				}
				if p.To == "" && s.Name != p.From || p.To == s.Name {
					h.Came[s.Name] = append(h.Came[s.Name], spec.UnderlayArrival{Number: number, Delivered: true})
				}
			}
		}
		for p := range of {
			if !of[[2]string{p[1], p[0]}] {
				t.Errorf("%d servers: %s is tried one way", test.servers, p)
			}
		}
		if missing := Missing(by, servers, h); len(missing) != 0 {
			t.Errorf("%d servers: %d packets are missing", test.servers, len(missing))
		}
		// What passes between all that were tried is recommended, and said to be that.
		why := "UDP 4789 passes between all that were tried"
		if test.with == test.servers-1 {
			why = "UDP 4789 passes between all"
		}
		advice := Recommend(servers, Paths(servers, services, by, h, nil, nil))
		if len(advice) == 0 || advice[0].Kind != "vxlan" || advice[0].Why != why {
			t.Errorf("%d servers: %+v is recommended", test.servers, advice)
		}
	}
}
