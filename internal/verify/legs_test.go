package verify

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// world has members s1 and so on of a network n.
func world(members int) (*state.Cluster, *ground.Compiled) {
	n := &state.Network{Allocated: map[string]*state.Allocation{}}
	c := &state.Cluster{Networks: map[string]*state.Network{"n": n}, Servers: map[string]*state.Server{}}
	compiled := &ground.Compiled{Hosts: map[string]*spec.Host{}}
	for i := range members {
		name := fmt.Sprint("s", i+1)
		n.Members = append(n.Members, name)
		n.Allocated[name] = &state.Allocation{}
		c.Servers[name] = &state.Server{Facts: &state.Facts{}}
		compiled.Hosts[name] = &spec.Host{}
	}
	return c, compiled
}

// give gives a member's device of a network an address.
func give(h *spec.Host, link, network string, kind string, mtu int, prefix string) {
	h.Links = append(h.Links, spec.Link{Name: link, Kind: kind, Network: network, MTU: mtu})
	h.Addrs = append(h.Addrs, spec.Addr{Prefix: netip.MustParsePrefix(prefix), Link: link})
}

func said(legs []Leg) string {
	var out []string
	for _, l := range legs {
		out = append(out, fmt.Sprintf("%s %s %d", l.Echo.From, l.Echo.To, l.Echo.MTU))
	}
	return strings.Join(out, ", ")
}

// TestLegs: by the network's own addresses, both ways, never by one that several members have.
func TestLegs(t *testing.T) {
	t.Parallel()
	c, compiled := world(3)
	for i, name := range []string{"s1", "s2", "s3"} {
		give(compiled.Hosts[name], "vxl0", "n", spec.Bridge, 1450-i, "10.0.4.1/24") // the gateway's
		give(compiled.Hosts[name], "vxl1", "other", spec.Bridge, 1500, fmt.Sprintf("10.0.5.%d/24", i+1))
	}
	if legs, bare := Legs(c, compiled, "n", true); len(legs) > 0 || fmt.Sprint(bare) != "[s1 s2 s3]" {
		t.Errorf("without an own address: %s, %v", said(legs), bare)
	}
	for i, name := range []string{"s1", "s2"} {
		compiled.Hosts[name].Addrs = append(compiled.Hosts[name].Addrs, spec.Addr{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.4.25%d/24", i)), Link: "vxl0"})
	}
	legs, bare := Legs(c, compiled, "n", true)
	if have := said(legs); have != "10.0.4.250 10.0.4.251 1449, 10.0.4.251 10.0.4.250 1449" || fmt.Sprint(bare) != "[s3]" {
		t.Errorf("have %s, %v", have, bare)
	}
}

// TestLegsInSubnets: members without an address on a device of the network's own are tried by
// one in their subnets, whoever made it; a size is not asked for there.
func TestLegsInSubnets(t *testing.T) {
	t.Parallel()
	c, compiled := world(4)
	n := c.Networks["n"]
	n.Allocated["s1"].Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24")}
	n.Allocated["s3"].Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.2.0/24")}
	n.Shares = []string{"s2:10.0.12.0/24"}
	c.Servers["s1"].Facts.Interfaces = []state.Interface{{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("10.244.0.1/24")}}}
	give(compiled.Hosts["s2"], "app0", "", spec.Bridge, 1500, "10.0.12.1/24")
	c.Servers["s3"].Facts = nil
	delete(n.Allocated, "s4")
	legs, bare := Legs(c, compiled, "n", false)
	if have := said(legs); have != "10.244.0.1 10.0.12.1 0, 10.0.12.1 10.244.0.1 0" || fmt.Sprint(bare) != "[s3 s4]" {
		t.Errorf("have %s, %v", have, bare)
	}
}

// TestSample: a large network is tried in a ring that reaches every member, and each pair once.
func TestSample(t *testing.T) {
	t.Parallel()
	c, compiled := world(legsAll + 10)
	for i, name := range c.Networks["n"].Members {
		give(compiled.Hosts[name], "vxl0", "n", spec.Bridge, 1450, fmt.Sprintf("10.0.4.%d/24", i+2))
	}
	for _, all := range []bool{false, true} {
		legs, _ := Legs(c, compiled, "n", all)
		tried, seen := map[string]int{}, map[string]bool{}
		for _, l := range legs {
			if pair := l.From + " " + l.To; seen[pair] {
				t.Fatalf("%s is tried twice", pair)
			} else {
				seen[pair] = true
			}
			tried[l.From]++
		}
		want := 2 * ringMost
		if all {
			want = legsAll + 9
		}
		for name, n := range tried {
			if n != want {
				t.Errorf("all %v: %s tries %d, want %d", all, name, n, want)
			}
		}
		if len(tried) != legsAll+10 {
			t.Errorf("all %v: %d members try", all, len(tried))
		}
	}
}

// TestWorst: the worst of several paths, and one answer less than sent is a loss.
func TestWorst(t *testing.T) {
	t.Parallel()
	leg := func(sent, heard, mtu, passes int) Tried {
		return Tried{Leg: Leg{Echo: spec.Echo{MTU: mtu}}, Echoed: spec.Echoed{Sent: sent, Heard: heard, Passes: passes}}
	}
	passes, untriedSize, narrow := leg(5, 5, 1450, 1450), leg(5, 5, 0, 0), leg(5, 5, 1450, 1400)
	lossy, lost := leg(40, 39, 1450, 1450), leg(40, 0, 1450, 0)
	for _, test := range []struct {
		want string
		legs []Tried
	}{
		{Passes, nil},
		{Passes, []Tried{passes, untriedSize}},
		{Narrow, []Tried{passes, narrow}},
		{Lossy, []Tried{narrow, lossy, passes}},
		{Lost, []Tried{lossy, lost, narrow}},
	} {
		if have := Worst(test.legs); have != test.want {
			t.Errorf("want %s, have %s", test.want, have)
		}
	}
}
