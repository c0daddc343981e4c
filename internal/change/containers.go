package change

import (
	"context"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Containers asks a server which containers it has, and what is plugged into its bridges.
// It takes no lock, neither of the file nor on the server, which need not be in the file if
// it is this workstation.
func (e *Engine) Containers(ctx context.Context, server string) ([]spec.Container, error) {
	c, err := e.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	r := &run{e: e, c: c, peers: map[string]*peer{}, sums: sums{}}
	defer r.end()
	p, err := r.peerFor(server)
	if err != nil {
		return nil, err
	}
	return p.containers(ctx, r)
}

// askContainers asks the server that the request names. The session stays for what follows.
func (r *run) askContainers(ctx context.Context) error {
	if r.req.Containers == "" {
		return nil
	}
	p, err := r.peerFor(r.req.Containers)
	if err != nil {
		return err
	}
	found, err := p.containers(ctx, r)
	if err != nil {
		return err
	}
	return r.req.Found(found)
}

// peerFor is a server as the file has it, before any edit: what it speaks decides which
// program it gets.
func (r *run) peerFor(server string) (*peer, error) {
	c := r.c.Clone()
	if c.Servers == nil {
		c.Servers = map[string]*state.Server{}
	}
	if c.Servers[server] == nil {
		c.Servers[server] = &state.Server{} // this workstation
	}
	if err := network.Complete(c); err != nil {
		return nil, inputError{r.e.Store.Locate(err)}
	}
	compiled, err := network.Compile(c)
	if err != nil {
		return nil, inputError{err}
	}
	p := &peer{name: server, speaks: compiled.Hosts[server].BGP != nil}
	r.peers[server] = p
	return p, nil
}

// containers asks p.
func (p *peer) containers(ctx context.Context, r *run) ([]spec.Container, error) {
	if err := p.dial(ctx, r.e, r.c); err != nil {
		return nil, err
	}
	reply, err := p.do(ctx, r.e, &spec.Request{Op: spec.OpNets, Want: &spec.Host{Cluster: r.c.Name, Server: p.name}})
	if err != nil {
		return nil, err
	}
	return reply.Containers, nil
}
