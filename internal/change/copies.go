package change

import (
	"context"

	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Copies asks servers of c, which need not be the cluster file's, what they have of each
// cluster; of the files only c's. Absent are those that did not answer.
func (e *Engine) Copies(ctx context.Context, c *state.Cluster, servers []string) (found map[string][]spec.Copied, absent []Server, err error) {
	results := remote.Each(ctx, servers, e.parallel(), func(ctx context.Context, name string) ([]spec.Copied, error) {
		if err := checkWay(c, name); err != nil {
			return nil, inputError{err}
		}
		p := &peer{name: name}
		defer p.close()
		if err := p.dial(ctx, e, c); err != nil {
			return nil, err
		}
		reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpCopies, Want: &spec.Host{Cluster: c.Name, Store: c.ID, Server: name}})
		if err != nil {
			return nil, err
		}
		return reply.Copies, nil
	})
	found = map[string][]spec.Copied{}
	for i, res := range results {
		if res.Err != nil {
			absent = append(absent, Server{Name: servers[i], State: Unreachable, Err: res.Err})
		} else {
			found[servers[i]] = res.Value
		}
	}
	return found, absent, ctx.Err()
}
