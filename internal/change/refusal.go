package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/answer"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
)

// mustAnswer is the error about a server that has to answer and does not.
func (r *run) mustAnswer() error {
	for _, name := range r.req.Contact {
		if p := r.peers[name]; p != nil && p.err != nil {
			return p.err
		}
	}
	return nil
}

// refusal is the error about the servers that refuse; nil if all agree. A server that
// could not be asked does not count: its part stays pending.
func (r *run) refusal() error {
	for _, p := range r.compiled.Problems {
		if peer := r.peers[p.Server]; peer != nil && peer.err == nil {
			peer.refused = append(peer.refused, hint.With(p.Err, "server "+p.Server, ""))
		}
	}
	r.refuseDuplicates()
	var first error
	count := 0
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.plan != nil && !r.forced(name) {
			for _, problem := range p.plan.Problems {
				if !r.filed[name] {
					problem.Next = byAddress(problem.Next, name, r.c.Servers[name])
				}
				p.refused = append(p.refused, answer.Problem(name, &problem))
			}
			if err := r.lineage.Refuses(r.c, name, p.plan.Generation, p.plan.Made); err != nil && len(p.plan.Problems) == 0 {
				p.refused = append(p.refused, err)
			}
		}
		if p.err == nil && len(p.refused) > 0 {
			first, count = cmp.Or(first, p.refused[0]), count+1
		}
	}
	for _, err := range r.clouds.Refused() {
		first, count = cmp.Or(first, err), count+1
	}
	switch count {
	case 0:
		return nil
	case 1:
		return refusedError{first}
	}
	return refusedError{fmt.Errorf("%d servers refuse, nothing was changed; the first says: %w", count, first)}
}

// forced says whether a server is removed from the file whatever it answers.
func (r *run) forced(name string) bool { return r.req.Force && slices.Contains(r.leaving(), name) }

// leaving are the servers that will be removed from the file.
func (r *run) leaving() []string {
	if r.req.Retire == nil {
		return nil
	}
	return r.req.Retire()
}

// byAddress replaces the server's name in advice by its address, where the cluster file does
// not have that name yet.
func byAddress(next, name string, s *state.Server) string {
	if s == nil || s.Address == "" {
		return next // a name in ssh's config
	}
	address := hint.Shell(target.Format(s.User, s.Address, s.Port))
	return strings.NewReplacer("flock purge "+name, "flock purge "+address, "flock import "+name, "flock import "+address).Replace(next)
}
