// Package network owns what the network kinds mean: which options they take and
// with which defaults, what is dealt out to a member (addresses, VNIs, names),
// and Compile, the pure function from the cluster file to one spec per server.
//
// It refuses to touch anything: no file, clock, random source, kernel or
// connection. The same cluster gives the same bytes.
package network

import (
	"slices"
	"sync"

	"github.com/flocknet/flock/internal/state"
)

// Kind is what one type of network means. There is one value per kind, in the
// table below, and one file per kind.
type Kind struct {
	Name string // the type
	Help string // the part of createnetwork's help that is about it; kinds may share one

	takes   []string // the keys of its options (options.go)
	lacks   []lack   // what it says of others of them; nil: what all say
	wire    string   // what its encapsulation is called; "": it has none
	segment bool     // it is a layer 2 network of containers
	tunnel  bool     // it has two members, its ends
	bgp     bool     // its members announce what they share by BGP
	pool    *backend // of a pool network; nil: it is none

	// complete fills in the defaults of a network that was just written down and
	// refuses values that make no sense in it. It changes nothing that is set.
	complete func(c *state.Cluster, name string, n *state.Network) error
	// allocate deals out what new members need, once. Everything dealt before is
	// kept; n.Allocated is not nil.
	allocate func(n *state.Network, servers []string) error
	// fits says whether what a member was dealt belongs to the network as it is.
	fits func(n *state.Network, a *state.Allocation) bool
	// compile adds what every member must look like.
	compile func(b *builder, name string, n *state.Network) error
}

// makeKinds is the table of kinds, in the order of createnetwork's help. An ipip tunnel is
// told from a pool network of that type by its key tunnel.
func makeKinds() []*Kind {
	return []*Kind{
		vxlanKind(), l2Kind(), wireGuardKind(), bgpKind(),
		hostGWKind(), vxlanL3Kind(), ipipKind(), allocKind(), udpKind(),
		tunnelKind(GRE, "GRE"), tunnelKind(IPIP, "IPIP"),
	}
}

// kindTable is made once: what kinds do looks kinds up.
var kindTable struct {
	once            sync.Once
	all             []*Kind
	created, tunnel map[string]*Kind // by name: tunnels, and all others
}

// kinds are all kinds.
func kinds() []*Kind {
	kindTable.once.Do(func() {
		kindTable.all = makeKinds()
		kindTable.created, kindTable.tunnel = map[string]*Kind{}, map[string]*Kind{}
		for _, k := range kindTable.all {
			if k.tunnel {
				kindTable.tunnel[k.Name] = k
			} else {
				kindTable.created[k.Name] = k
			}
		}
	})
	return kindTable.all
}

// kindOf is what n's type means; ok is false for a type that is not known.
func kindOf(n *state.Network) (kind *Kind, ok bool) {
	kinds()
	by := kindTable.created
	if isTunnel(n) {
		by = kindTable.tunnel
	}
	if kind = by[n.Type]; kind == nil {
		return &Kind{}, false
	}
	return kind, true
}

// namesOf are the names of the kinds that is says yes to, sorted.
func namesOf(is func(*Kind) bool) []string {
	var out []string
	for _, k := range kinds() {
		if is(k) {
			out = append(out, k.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kindNames returns the names of all kinds, sorted.
func kindNames() []string { return namesOf(func(*Kind) bool { return true }) }

// Created returns the names of the kinds that createnetwork makes, sorted: BGP
// networks and tunnels have commands of their own.
func Created() []string { return namesOf(func(k *Kind) bool { return !k.tunnel && !k.bgp }) }

// CreatedHelp returns what kinds say of themselves in createnetwork's help, a paragraph
// each, in the order of the table.
func CreatedHelp() []string {
	var out []string
	for _, k := range kinds() {
		if k.Help != "" && !slices.Contains(out, k.Help) {
			out = append(out, k.Help)
		}
	}
	return out
}

// reserved returns the words that cannot name a server: the command line uses
// them. "local" names the workstation itself.
func reserved() []string {
	return []string{Local, "server", "client", "subnet", "peer", "network", "external", "reflector"}
}

// Local is the reserved name of the workstation as a member.
const Local = "local"
