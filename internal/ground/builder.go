package ground

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Problem is why a server cannot take the part it has in a network.
type Problem struct {
	Server, Network string
	Err             error // carries its own advice
}

// Membership is a server's membership of a network. Place is the interface and address
// that it uses in the underlay.
type (
	Membership struct{ Server, Network string }
	Place      struct {
		Interface string
		Addr      netip.Addr
	}
)

// Note is something about a network that its members' specs do not show.
type Note struct {
	Network, Text string
	Amiss         bool // something is not as it was meant: looking at the servers says so too
	Found         bool // by what servers were like at the last change
}

// Dated is the text, with what to do where it is of the last change.
func (n Note) Dated() string {
	if !n.Found {
		return n.Text
	}
	return n.Text + " (at the last change; flock status " + n.Network + " looks again)"
}

// Compiled is what a whole cluster comes to.
type Compiled struct {
	Hosts    map[string]*spec.Host   // one per server of the cluster, empty ones too
	Problems []Problem               // in order of server and network; such a server's part is left out
	Notes    []Note                  // in order of network
	Places   map[Membership]Place    // of members that have one
	Direct   map[Membership][]string // with direct routing: the members that one reaches without encapsulation
	Clouds   []Cloud                 // whose route tables networks travel by
}

// Builder gathers what the networks ask of every server.
type Builder struct {
	Cluster *state.Cluster
	Out     Compiled
	Asked   Asked // of the network that is asked about, if one is
}

// NewBuilder is the builder of a cluster of which nothing is compiled yet.
func NewBuilder(c *state.Cluster) *Builder {
	return &Builder{Cluster: c, Out: Compiled{Hosts: make(map[string]*spec.Host, len(c.Servers)), Places: map[Membership]Place{}, Direct: map[Membership][]string{}}}
}

// Problem notes why a server cannot take the part that it has in a network.
func (b *Builder) Problem(server, network string, err error) {
	b.Out.Problems = append(b.Out.Problems, Problem{server, network, err})
}

// Note says what the specs do not show of a network.
func (b *Builder) Note(network, format string, args ...any) {
	b.Out.Notes = append(b.Out.Notes, Note{Network: network, Text: fmt.Sprintf(format, args...)})
}

// Connected is what a device of a server reaches without a router.
func (b *Builder) Connected(server, dev string) []netip.Prefix {
	var out []netip.Prefix
	for _, i := range b.Cluster.Servers[server].Facts.Interfaces {
		for _, a := range i.Addrs {
			if i.Name == dev || dev == "" {
				out = append(out, a.Masked())
			}
		}
	}
	return out
}

// LocalFor is a server's own address on the subnet that a is on. Near is false
// where there is none: the kernel chooses then.
func (b *Builder) LocalFor(server string, a netip.Addr) (local netip.Addr, near bool) {
	for _, i := range b.Cluster.Servers[server].Facts.Interfaces {
		for _, p := range i.Addrs {
			if p.Masked().Contains(a) && !local.IsValid() {
				local = p.Addr()
			}
		}
	}
	if local.IsValid() {
		return local, true
	}
	for _, name := range Networks(b.Cluster, server) {
		n, dealt := b.Cluster.Networks[name], b.Cluster.Networks[name].Allocated[server]
		if dealt == nil {
			continue
		}
		for i, p := range n.Subnets {
			if p.Contains(a) && i < len(dealt.Addrs) {
				return dealt.Addrs[i], true
			}
		}
		if n.Mesh.IsValid() && n.Mesh.Contains(a) {
			return dealt.Mesh, true
		}
	}
	return netip.Addr{}, false
}

// SubnetsOf are the subnets that a server is on, as text, sorted.
func (b *Builder) SubnetsOf(server string) []string {
	var out []string
	for _, p := range b.Connected(server, "") {
		out = append(out, p.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ShareClaim is what a server that is led to a share of another one's must not have.
func (b *Builder) ShareClaim(name, server string, p netip.Prefix) spec.Claim {
	return spec.Claim{Network: name, Prefix: p, Shared: !IsForced(b.Cluster.Networks[name], state.Share{Server: server, Subnet: p})}
}
