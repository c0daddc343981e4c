package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/mesh"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// A device that is configured right says nothing about the underlay: a firewall there
// may drop packets silently. Only a packet shows whether two members reach each other.

// pathsMost is how many other members a member's paths lead to: those that joined after
// it, in a ring. Networks of up to twice as many members have all pairs; larger ones are
// sampled.
const pathsMost = 16

// Path is a pair of members of a network, and how to test it.
type Path struct {
	Network  string
	From, To string     // servers
	Over     string     // what must pass below: "UDP 4789"
	Probe    spec.Probe // for From's agent
	Back     spec.Probe // for To's, the same way; zero: only From can begin
}

// Turned is the path from its other end.
func (p Path) Turned() Path {
	p.From, p.To, p.Probe, p.Back = p.To, p.From, p.Back, p.Probe
	return p
}

// Paths are the pairs of members of the network called name that its own devices connect,
// each once. A network without such devices has none.
func Paths(c *state.Cluster, compiled *ground.Compiled, name string) []Path {
	n := c.Networks[name]
	var servers []string
	for _, m := range n.Members {
		if _, placed := compiled.Places[ground.Membership{Server: ground.ServerOf(m), Network: name}]; placed {
			servers = append(servers, ground.ServerOf(m))
		}
	}
	if meaning(n).Encrypted {
		return keyedPaths(n, name, servers, compiled)
	}
	w := &pairs{n: n, name: name, compiled: compiled}
	var out []Path
	for i, from := range servers {
		for _, to := range following(servers, i) {
			probe, ok := w.probe(from, to)
			back, both := w.probe(to, from)
			if ok && both {
				probe.Below, back.Below = compiled.Places[ground.Membership{Server: to, Network: name}].Addr, compiled.Places[ground.Membership{Server: from, Network: name}].Addr
				out = append(out, Path{Network: name, From: from, To: to, Over: Passing(n), Probe: probe, Back: back})
			}
		}
	}
	return out
}

// following are the members after the one at i, in a ring, each pair once.
func following(servers []string, i int) []string {
	most := min(pathsMost, len(servers)/2)
	var out []string
	for d := 1; d <= most; d++ {
		j := (i + d) % len(servers)
		if 2*d == len(servers) && j < i {
			continue // halfway round, the other one has the pair
		}
		out = append(out, servers[j])
	}
	return out
}

// pairs finds how members of a network without keys reach each other.
type pairs struct {
	n        *state.Network
	name     string
	compiled *ground.Compiled
}

// Passing names what must pass below the network n: "UDP 4789"; "" where its packets travel as
// they are.
func Passing(n *state.Network) string {
	port := tunnelPort(n)
	if meaning(n).Encrypted {
		port = n.Port
	}
	if passes := meaning(n).passes; passes != "" || port == 0 {
		return passes
	}
	return fmt.Sprintf("UDP %d", port)
}

// probe is how from tests its path to to; false where no device of the network's own is
// in it.
func (w *pairs) probe(from, to string) (spec.Probe, bool) {
	a, b := w.n.Allocated[from], w.n.Allocated[to]
	if a == nil || b == nil {
		return spec.Probe{}, false
	}
	probe := meaning(w.n).probe
	if probe == nil {
		return spec.Probe{}, false
	}
	return probe(w, from, to)
}

// probeSegment tries a member's own address on the bridge.
func probeSegment(w *pairs, from, to string) (spec.Probe, bool) {
	return between(w.n.Bridge, w.n.Allocated[from].Addrs, w.n.Allocated[to].Addrs, w.mac(to, w.n.Bridge))
}

// probePool tries the first addresses of members' subnets, where packets are encapsulated.
func probePool(w *pairs, from, to string) (spec.Probe, bool) {
	device := poolDevice(w.name, w.n)
	if device == "" || slices.Contains(w.compiled.Direct[ground.Membership{Server: from, Network: w.name}], to) {
		return spec.Probe{}, false
	}
	return between(device, firsts(w.n.Allocated[from].Subnets), firsts(w.n.Allocated[to].Subnets), w.mac(to, device))
}

// mac is the address of a device of to's, if it has one.
func (w *pairs) mac(to, device string) string {
	for _, l := range w.compiled.Hosts[to].Links {
		if l.Name == device {
			return l.MAC
		}
	}
	return ""
}

// firsts are the first addresses of subnets, which members' devices have.
func firsts(subnets []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, p := range subnets {
		out = append(out, p.Addr())
	}
	return out
}

// between tries by IPv4 where there is a pair of addresses.
func between(link string, from, to []netip.Addr, mac string) (spec.Probe, bool) {
	for _, v6 := range []bool{false, true} {
		is := func(a netip.Addr) bool { return a.Is6() == v6 }
		i, j := slices.IndexFunc(from, is), slices.IndexFunc(to, is)
		if i >= 0 && j >= 0 {
			return spec.Probe{Link: link, From: from[i], To: to[j], MAC: mac}, true
		}
	}
	return spec.Probe{}, false
}

// keyedPaths are those of a mesh: a pair that WireGuard makes peers, from an end that
// knows where the other is.
func keyedPaths(n *state.Network, name string, servers []string, compiled *ground.Compiled) []Path {
	owner := map[string]string{}
	for server, a := range n.Allocated {
		if a.Key != "" {
			owner[a.Key] = server
		}
	}
	place := map[string]int{}
	for i, server := range servers {
		place[server] = i
	}
	// In a ring of members, as following has it; the spokes of a hub have one peer.
	near := func(a, b string) bool {
		d := (place[b] - place[a] + len(servers)) % len(servers)
		return min(d, len(servers)-d) <= pathsMost || n.Topology == state.Hub
	}
	var out []Path
	seen := map[[2]string]bool{}
	for _, from := range servers {
		for _, p := range compiled.Hosts[from].Peers {
			to := owner[p.Key]
			pair := [2]string{min(from, to), max(from, to)}
			if p.Link != mesh.Device(name) || p.Endpoint == "" || to == "" || seen[pair] || !near(from, to) {
				continue
			}
			seen[pair] = true
			below, _ := netip.ParseAddrPort(p.Endpoint) // a name is looked up by the server
			out = append(out, Path{
				Network: name, From: from, To: to, Over: "UDP " + p.Endpoint,
				Probe: spec.Probe{Link: p.Link, To: p.Allowed[0].Addr(), Key: p.Key, Below: below.Addr()},
			})
		}
	}
	return out
}

// Unheard says in one line which of paths had no answer.
func Unheard(paths []Path) string {
	var pairs []string
	keyed := false
	for _, p := range paths {
		pairs = append(pairs, fmt.Sprintf("%s with %s (%s)", p.From, p.To, p.Over))
		keyed = keyed || p.Probe.Key != ""
	}
	slices.SortFunc(pairs, strings.Compare)
	if keyed {
		return "no handshake: " + ground.Few(pairs) + "; does every firewall on the way let WireGuard pass?"
	}
	return "no answer: " + ground.Few(pairs) + "; does every firewall on the way let it pass?"
}
