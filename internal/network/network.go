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

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/pool"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Kind is what one type of network means. There is one value per kind, in the
// table below, and one file per kind.
type Kind struct {
	Name   string // the type
	Help   string // the part of createnetwork's help that is about it; kinds may share one
	Tunnel bool   // it has two members, its ends
	BGP    bool   // its members announce what they share by BGP
	Roles  bool   // its members have roles: a lead server and clients

	takes     []string      // the keys of its options (option)
	lacks     []lack        // what it says of others of them; nil: what all say
	Command   string        // the command that makes it, where createnetwork does not
	commands  commands      // what it is changed by, for advice
	columns   []string      // what listings show of its members besides; nil: their addresses
	segment   bool          // it is a layer 2 network of containers
	Encrypted bool          // its members talk through WireGuard
	pool      *pool.Backend // of a pool network; nil: it is none
	space     *ground.Space // of its subnets
	wire      string        // what its encapsulation is called; "": it has none
	passes    string        // what must pass below; "": UDP, by its port

	// WithoutRole refuses a member that is named without a role; nil: nobody has one.
	WithoutRole func(n *state.Network, verb, name, server string) error
	// NoRole refuses a role; nil: as networks of members do.
	NoRole func(n *state.Network, name string) error
	// device names the device that it makes on every member besides a bridge; nil: none.
	device func(name string, n *state.Network) string
	// overlays are the devices with addresses that it gives a member; nil: none.
	overlays func(name string, n *state.Network, server string) []ground.Overlay
	// probe is how a member tries the path to another; nil: there is none to try.
	probe func(p *pairs, from, to string) (spec.Probe, bool)

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
		bridgeKind(), vxlanKind(), l2Kind(), wireGuardKind(), bgpKind(),
		hostGWKind(), vxlanL3Kind(), ipipKind(), allocKind(), udpKind(), awsVPCKind(), gceKind(), aliVPCKind(), azureKind(),
		greKind(), ipipTunnelKind(),
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
			if k.Tunnel {
				kindTable.tunnel[k.Name] = k
			} else {
				kindTable.created[k.Name] = k
			}
		}
	})
	return kindTable.all
}

// kindOf is what n's type means; ok is false for a type that is not known, which then
// means as little as can be.
func kindOf(n *state.Network) (kind *Kind, ok bool) {
	kinds()
	if kind = kindTable.created[n.Type]; kind == nil || n.Tunnel {
		kind = kindTable.tunnel[n.Type]
	}
	switch {
	case kind != nil:
		return kind, true
	case n.Tunnel:
		return &Kind{Tunnel: true, commands: tunnelCommands, space: &ground.TunnelSpace}, false
	}
	return &Kind{segment: true, commands: memberCommands, space: &ground.SegmentSpace}, false
}

// KindOf is what n's type means. Of a type that is not known Name is empty.
func KindOf(n *state.Network) *Kind { return meaning(n) }

// meaning is kindOf where a type that is not known does no harm.
func meaning(n *state.Network) *Kind {
	kind, _ := kindOf(n)
	return kind
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
func Created() []string { return namesOf((*Kind).Created) }

// Created says whether createnetwork makes networks of the kind.
func (k *Kind) Created() bool { return k.Command == "" }

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
