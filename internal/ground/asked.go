package ground

import (
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// Asked is what one network asks for of the objects that do not tell whose they are.
type Asked struct {
	Network string                // "": nobody wants to know
	Hosts   map[string]*spec.Host // by server: routes and settings
	had     map[string]spec.Host  // what servers had before the network was compiled
}

// Before notes what servers have before network is compiled.
func (b *Builder) Before(network string) {
	if b.Asked.Network != network {
		return
	}
	b.Asked.had = make(map[string]spec.Host, len(b.Out.Hosts))
	for server, h := range b.Out.Hosts {
		b.Asked.had[server] = *h
	}
}

// After notes what network added.
func (b *Builder) After(network string) {
	if b.Asked.Network != network {
		return
	}
	b.Asked.Hosts = make(map[string]*spec.Host, len(b.Out.Hosts))
	for server, had := range b.Asked.had {
		h := b.Out.Hosts[server]
		b.Asked.Hosts[server] = &spec.Host{Routes: slices.Clone(h.Routes[len(had.Routes):]), Sysctls: slices.Clone(h.Sysctls[len(had.Sysctls):])}
	}
}

// Refuse has a server refuse packets to p, of network, while nothing there has it.
func (b *Builder) Refuse(network, server string, p netip.Prefix) {
	r := spec.Route{Unreachable: true, Dst: p, Proto: spec.RouteProto}
	b.Out.Hosts[server].Routes = append(b.Out.Hosts[server].Routes, r)
	if b.Asked.Network == network {
		b.Asked.Hosts[server].Routes = append(b.Asked.Hosts[server].Routes, r)
	}
}
