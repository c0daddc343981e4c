// Package verify is what a verification by traffic tries (pure): the legs between members of
// a network. It owns which of them are tried, by which addresses, and how one is judged by what
// came back. It refuses to send anything.
package verify

import (
	"net/netip"
	"slices"

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
	Device            string // of From's, that packets leave by; "": none of the network's own
	Via               string // the member through which both reach each other, a hub; "": none is between
}

// Legs are those of the network called name, each pair both ways, by each family of addresses
// that both have. With all, no pair is left out, however many there are. Bare are members
// without an address in the network, from and to which nothing is tried.
func Legs(c *state.Cluster, compiled *ground.Compiled, name string, all bool) (out []Leg, bare []string) {
	n := c.Networks[name]
	var servers []string
	for _, m := range n.Members {
		if server := ground.ServerOf(m); compiled.Hosts[server] != nil {
			servers = append(servers, server)
		}
	}
	own := ownAddresses(c, compiled, name, servers)
	for _, server := range servers {
		if own[server] == [2]endpoint{} {
			bare = append(bare, server)
		}
	}
	for i, from := range servers {
		for _, to := range opposite(servers, i, all || len(servers) <= legsAll) {
			for family := range 2 {
				a, b := own[from][family], own[to][family]
				if !a.addr.IsValid() || !b.addr.IsValid() {
					continue
				}
				mtu := min(a.mtu, b.mtu)
				out = append(out,
					Leg{name, from, to, spec.Echo{From: a.addr, To: b.addr, MTU: mtu}, device(compiled.Hosts[from], name), relay(compiled, name, from, to)},
					Leg{name, to, from, spec.Echo{From: b.addr, To: a.addr, MTU: mtu}, device(compiled.Hosts[to], name), relay(compiled, name, to, from)})
			}
		}
	}
	return out, bare
}

// device is what packets of a network leave a member by.
func device(h *spec.Host, name string) string {
	for _, l := range h.Links {
		if l.Network == name && l.Kind != spec.Bridge {
			return l.Name
		}
	}
	return ""
}

// relay is the member whose WireGuard device takes what from sends to to and passes it on; "": to is a
// peer of from's, or the network has no such device.
func relay(compiled *ground.Compiled, name, from, to string) string {
	keyOf := func(server string) (dev, key string) {
		for _, l := range compiled.Hosts[server].Links {
			if l.Network == name && l.Kind == spec.WireGuard {
				return l.Name, l.Key
			}
		}
		return "", ""
	}
	ownDev, own := keyOf(from)
	toDev, other := keyOf(to)
	if own == "" || other == "" {
		return ""
	}
	peers := compiled.Hosts[from].Peers
	if slices.ContainsFunc(peers, func(p spec.Peer) bool { return p.Link == ownDev && p.Key == other }) {
		return ""
	}
	for _, p := range peers {
		takes := func(a spec.Addr) bool {
			return a.Link == toDev && slices.ContainsFunc(p.Allowed, func(q netip.Prefix) bool { return q.Contains(a.Prefix.Addr()) })
		}
		if p.Link != ownDev || !slices.ContainsFunc(compiled.Hosts[to].Addrs, takes) {
			continue
		}
		for server := range compiled.Hosts {
			if _, key := keyOf(server); key == p.Key {
				return server
			}
		}
	}
	return ""
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

// ownAddresses are the first IPv4 and the first IPv6 address that each of servers has in the
// network, and no other member.
func ownAddresses(c *state.Cluster, compiled *ground.Compiled, name string, servers []string) map[string][2]endpoint {
	holders := map[netip.Addr]int{}
	has := map[string][]endpoint{}
	for _, server := range servers {
		has[server] = append(onDevices(compiled.Hosts[server], name), inSubnets(c, compiled, name, server)...)
		seen := map[netip.Addr]bool{}
		for _, e := range has[server] {
			if !seen[e.addr] {
				seen[e.addr] = true
				holders[e.addr]++
			}
		}
	}
	out := map[string][2]endpoint{}
	for _, server := range servers {
		for _, e := range has[server] {
			both, family := out[server], 0
			if e.addr.Is6() {
				family = 1
			}
			if holders[e.addr] == 1 && !both[family].addr.IsValid() {
				both[family] = e
				out[server] = both
			}
		}
	}
	return out
}

// onDevices are a member's addresses on the network's own devices, containers' addresses
// before those of what is below.
func onDevices(h *spec.Host, name string) []endpoint {
	links := map[string]spec.Link{}
	for _, l := range h.Links {
		links[l.Name] = l
	}
	var out []endpoint
	for _, bridge := range []bool{true, false} {
		for _, a := range h.Addrs {
			if l := links[a.Link]; l.Network == name && (l.Kind == spec.Bridge) == bridge {
				out = append(out, endpoint{a.Prefix.Addr(), l.MTU})
			}
		}
	}
	return out
}

// inSubnets are a member's addresses in the subnets that the network deals it, or that it
// shares: on a bridge of its own (setsubnet), on a device that is not ours. What passes in one
// piece there is nobody's promise.
func inSubnets(c *state.Cluster, compiled *ground.Compiled, name, server string) []endpoint {
	var subnets []netip.Prefix
	if a := c.Networks[name].Allocated[server]; a != nil {
		subnets = append(subnets, a.Subnets...)
	}
	for _, text := range c.Networks[name].Shares {
		if share, err := state.ParseShare(text); err == nil && share.Server == server {
			subnets = append(subnets, share.Subnet)
		}
	}
	var at []netip.Prefix
	for _, a := range compiled.Hosts[server].Addrs {
		at = append(at, a.Prefix)
	}
	if s := c.Servers[server]; s != nil && s.Facts != nil {
		for _, i := range s.Facts.Interfaces {
			at = append(at, i.Addrs...)
		}
		for _, p := range s.Facts.Local {
			if p.IsSingleIP() {
				at = append(at, p)
			}
		}
	}
	var out []endpoint
	for _, p := range at {
		if slices.ContainsFunc(subnets, func(s netip.Prefix) bool { return s.Contains(p.Addr()) }) {
			out = append(out, endpoint{addr: p.Addr()})
		}
	}
	return out
}

// Underlay is the address of a member below its network; invalid where that is not known.
func Underlay(compiled *ground.Compiled, name, server string) netip.Addr {
	return compiled.Places[ground.Membership{Server: server, Network: name}].Addr
}
