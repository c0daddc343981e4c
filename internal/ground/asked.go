package ground

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Asked is what one network asks for of the objects that do not tell whose they are.
type Asked struct {
	Network string                // "": nobody wants to know
	Hosts   map[string]*spec.Host // by server: routes and settings
}

// NewBuilderAbout is NewBuilder, and what network asks for is in Asked.
func NewBuilderAbout(c *state.Cluster, network string) *Builder {
	b := NewBuilder(c)
	b.Asked = Asked{Network: network, Hosts: map[string]*spec.Host{}}
	return b
}

// Asking compiles a network by compile, and notes what it adds if somebody wants to know.
func (b *Builder) Asking(network string, compile func() error) error {
	if b.Asked.Network != network {
		return compile()
	}
	had := make(map[string]spec.Host, len(b.Out.Hosts))
	for server, h := range b.Out.Hosts {
		had[server] = *h
	}
	err := compile()
	for server, h := range b.Out.Hosts {
		b.Asked.Hosts[server] = &spec.Host{Routes: slices.Clone(h.Routes[len(had[server].Routes):]), Sysctls: slices.Clone(h.Sysctls[len(had[server].Sysctls):])}
	}
	return err
}

// Refuse has a server refuse packets to p, of network, while nothing there has it.
func (b *Builder) Refuse(network, server string, p netip.Prefix) {
	r := spec.Route{Unreachable: true, Dst: p, Proto: spec.RouteProto}
	b.Out.Hosts[server].Routes = append(b.Out.Hosts[server].Routes, r)
	if b.Asked.Network == network {
		b.Asked.Hosts[server].Routes = append(b.Asked.Hosts[server].Routes, r)
	}
}
