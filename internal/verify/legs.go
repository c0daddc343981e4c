// Package verify is what a verification by traffic tries (pure): the legs between members of
// a network. It owns which of them are tried, by which addresses, and how one is judged by what
// came back. It refuses to send anything.
package verify

import (
	"net/netip"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// legsAll is how many members a network may have for all pairs to be tried; of
// larger ones each member is tried with the ringMost after it in a ring.
const legsAll = 50

const ringMost = 16

// Leg is the path from a member of a network to another one, by the addresses that the
// network gave them.
type Leg struct {
	Network, From, To string // servers
	Echo              spec.Echo
}

// Legs are those of the network called name, each pair both ways, by each family of addresses
// that both have. A network that gives its members no address of their own has none. With all,
// no pair is left out, however many there are.
func Legs(c *state.Cluster, compiled *ground.Compiled, name string, all bool) []Leg {
	n := c.Networks[name]
	var servers []string
	for _, m := range n.Members {
		if server := ground.ServerOf(m); compiled.Hosts[server] != nil {
			servers = append(servers, server)
		}
	}
	own := ownAddresses(compiled, name, servers)
	var out []Leg
	for i, from := range servers {
		for _, to := range opposite(servers, i, all || len(servers) <= legsAll) {
			for family := range 2 {
				a, b := own[from][family], own[to][family]
				if !a.addr.IsValid() || !b.addr.IsValid() {
					continue
				}
				mtu := min(a.mtu, b.mtu)
				out = append(out,
					Leg{name, from, to, spec.Echo{From: a.addr, To: b.addr, MTU: mtu}},
					Leg{name, to, from, spec.Echo{From: b.addr, To: a.addr, MTU: mtu}})
			}
		}
	}
	return out
}

// opposite are the members with which the one at i is tried, so that each pair comes once.
func opposite(servers []string, i int, all bool) []string {
	if all {
		return servers[i+1:]
	}
	var out []string
	for d := 1; d <= ringMost; d++ {
		out = append(out, servers[(i+d)%len(servers)])
	}
	return out
}

// endpoint is an address of a member, and the MTU of its device in bytes; 0: the device is
// not flock's.
type endpoint struct {
	addr netip.Addr
	mtu  int
}

// ownAddresses are the first IPv4 and the first IPv6 address that each of servers has on the
// network's devices, and no other member.
func ownAddresses(compiled *ground.Compiled, name string, servers []string) map[string][2]endpoint {
	holders := map[netip.Addr]int{}
	each := func(server string, do func(a netip.Addr, mtu int)) {
		links := map[string]spec.Link{}
		for _, l := range compiled.Hosts[server].Links {
			links[l.Name] = l
		}
		for _, bridge := range []bool{true, false} { // containers' addresses rather than those of what is below
			for _, a := range compiled.Hosts[server].Addrs {
				if l := links[a.Link]; l.Network == name && (l.Kind == spec.Bridge) == bridge {
					do(a.Prefix.Addr(), l.MTU)
				}
			}
		}
	}
	for _, server := range servers {
		each(server, func(a netip.Addr, _ int) { holders[a]++ })
	}
	out := map[string][2]endpoint{}
	for _, server := range servers {
		each(server, func(a netip.Addr, mtu int) {
			e, family := out[server], 0
			if a.Is6() {
				family = 1
			}
			if holders[a] == 1 && !e[family].addr.IsValid() {
				e[family] = endpoint{a, mtu}
				out[server] = e
			}
		})
	}
	return out
}

// Underlay is the address of a member below its network; invalid where that is not known.
func Underlay(compiled *ground.Compiled, name, server string) netip.Addr {
	return compiled.Places[ground.Membership{Server: server, Network: name}].Addr
}
