package change

import (
	"context"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// entry is a server in the file before an edit.
type entry struct {
	name string
	*state.Server
}

// remember notes the servers before an edit.
func (r *run) remember() {
	r.entries = make(map[any]entry, len(r.c.Servers))
	for name, s := range r.c.Servers {
		was := *s
		r.entries[identityOf(s)] = entry{name, &was}
	}
	r.networks, r.called = make(map[*state.Network]string, len(r.c.Networks)), map[string]string{}
	for name, n := range r.c.Networks {
		r.networks[n] = name
	}
}

// identityOf is what an edit does not take from a server when it gives it another name.
func identityOf(s *state.Server) any {
	if s.Facts != nil {
		return s.Facts
	}
	return s
}

// renamed calls do with the names of each server that has another one since the edit.
func (r *run) renamed(do func(was, now string)) {
	for _, name := range r.c.ServerNames() {
		if was, known := r.entries[identityOf(r.c.Servers[name])]; known && was.name != name {
			do(was.name, name)
		}
	}
}

// formerDevices are the names that WireGuard devices of a server had before the edit, by those
// after it.
func (r *run) formerDevices(server string) map[string]string {
	out := map[string]string{}
	for name, device := range network.KeyDevices(r.c, server) {
		if was := r.called[name]; was != "" {
			out[device] = network.MeshDevice(was)
		}
	}
	return out
}

// recognize has what is known of a server be known by the name that the edit gave it.
func (r *run) recognize() {
	for name, n := range r.c.Networks {
		if was, known := r.networks[n]; known && was != name {
			r.called[name] = was
		}
	}
	r.former = make(map[string]entry, len(r.entries))
	for name, s := range r.c.Servers {
		if was, known := r.entries[identityOf(s)]; known {
			r.former[name] = was
		}
	}
	r.renamed(func(was, name string) {
		r.before[name], r.spoke[name], r.filed[name] = r.before[was], r.spoke[was], true
		if r.was != nil {
			r.was[name] = r.was[was]
		}
		for i, waits := range r.behind {
			if waits == was {
				r.behind[i] = name
			}
		}
	})
}

// reach contacts the server that may be somewhere else, before any other one: others may
// be behind it, and a person may have to look at its host key.
func (r *run) reach(ctx context.Context) error {
	name := r.req.Moves
	if name == "" {
		return nil
	}
	p := &peer{name: name, speaks: network.Speakers(r.c)[name] || r.spoke[name], want: r.compiled.Hosts[name], former: r.former[name].Server}
	if r.req.Replaces {
		p.former = nil // its host key is another one
	}
	if err := p.dial(ctx, r.e, r.c); err != nil {
		return err
	}
	p.want = nil // nothing is planned so far
	r.peers[name] = p
	return nil
}

// followed has networks follow a server that is somewhere else now, and refuses another
// machine there.
func (r *run) followed(p *peer) error {
	was := r.former[p.name]
	if p.name != r.req.Moves || was.Server == nil || was.Facts == nil {
		return nil
	}
	s := r.c.Servers[p.name]
	elsewhere := s.Address != was.Address || s.Port != was.Port || s.Jump != was.Jump
	m := was.Facts.Machine
	if r.req.Replaces {
		if m != "" && s.Facts.Machine == m {
			p.refused = append(p.refused, hint.Errorf("server "+p.name, "flock setserver "+p.name+" "+option.Login(s),
				"%s is the machine that %s has been so far: nothing takes its place", s.Address, p.name))
		}
	} else if elsewhere && m != "" && s.Facts.Machine != "" && s.Facts.Machine != m {
		p.refused = append(p.refused, hint.Errorf("server "+p.name, "flock setserver "+p.name+" --replace "+option.Login(s),
			"%s is another machine than %s has been so far: its machine id is %s, not %s", s.Address, p.name, s.Facts.Machine, m))
	}
	_, err := edit.Do(r.c, func(c *state.Cluster) error {
		edit.Follow(c, p.name, was.Server)
		return nil
	})
	return err
}
