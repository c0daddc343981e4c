package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
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
}

// Compiled is what a whole cluster comes to.
type Compiled struct {
	Hosts    map[string]*spec.Host   // one per server of the cluster, empty ones too
	Problems []Problem               // in order of server and network; such a server's part is left out
	Notes    []Note                  // in order of network
	Places   map[Membership]Place    // of members that have one
	Direct   map[Membership][]string // with direct routing: the members that one reaches without encapsulation
}

// Compile turns the cluster into one spec per server. It is pure: the same
// cluster gives the same bytes. A member that was never contacted has an empty
// part and appears in nobody else's; one whose server lacks what it asks for is
// a Problem. An error means that the cluster itself does not make sense.
func Compile(c *state.Cluster) (*Compiled, error) {
	b := &builder{c: c, out: Compiled{Hosts: make(map[string]*spec.Host, len(c.Servers)), Places: map[Membership]Place{}, Direct: map[Membership][]string{}}, apart: map[string][]netip.Prefix{}}
	servers := c.ServerNames()
	for _, name := range servers {
		b.out.Hosts[name] = &spec.Host{Cluster: c.Name, Store: c.ID, Server: name, Generation: c.Generation}
	}
	names, err := stackedLast(c)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		n := c.Networks[name]
		kind, ok := kindOf(n)
		if !ok {
			return nil, hint.Errorf("network "+name, "one of: "+JoinWords(kindNames()), "compile %s: unknown type %q", name, n.Type)
		}
		if err := kind.compile(b, name, n); err != nil {
			return nil, hint.With(fmt.Errorf("compile %s: %w", name, err), "network "+name, "")
		}
	}
	b.notePublic()
	for _, name := range servers {
		b.serverSubnet(name)
	}
	if err := b.guardShares(); err != nil {
		return nil, err
	}
	for _, name := range servers {
		b.finish(name)
	}
	slices.SortStableFunc(b.out.Problems, func(p, q Problem) int {
		if p.Server != q.Server {
			return strings.Compare(p.Server, q.Server)
		}
		return strings.Compare(p.Network, q.Network)
	})
	slices.SortStableFunc(b.out.Notes, func(a, b Note) int { return strings.Compare(a.Network, b.Network) })
	return &b.out, nil
}

// builder gathers what the networks ask of every server.
type builder struct {
	c     *state.Cluster
	out   Compiled
	apart map[string][]netip.Prefix // by network: what isolated containers are kept from
}

func (b *builder) problem(server, network string, err error) {
	b.out.Problems = append(b.out.Problems, Problem{server, network, err})
}

// finish adds what follows from all networks of a server together.
func (b *builder) finish(server string) {
	h := b.out.Hosts[server]
	closeBGP(h)
	slices.SortFunc(h.Sysctls, func(a, b spec.Sysctl) int { return strings.Compare(a.Key, b.Key) })
	h.Sysctls = slices.Compact(h.Sysctls)
	if len(h.Links) == 0 {
		return
	}
	closePorts(h)
	b.isolate(h)
	var links []string
	taken := make(map[string]string, len(h.Links))
	for _, l := range h.Links {
		if other, twice := taken[l.Name]; twice {
			b.problem(server, l.Network, hint.Errorf("server "+server, "give one of the networks another name or bridge",
				"networks %s and %s would both have a device %s", other, l.Network, l.Name))
		}
		taken[l.Name] = l.Network
		links = append(links, l.Name)
	}
	slices.Sort(links)
	h.Unmanaged = []spec.Unmanage{{Links: links}}
}
