package bgpcmd

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
)

// alterBGP is alter for a BGP network. It returns when the members that answer have
// their sessions and routes, and no routes to removed subnets. If the sessions change,
// the previous ones end then.
func (a *app) alterBGP(ctx context.Context, name string, c command.Alter) error {
	if c.Await == nil {
		c.Await = &change.Await{}
	}
	c.About, c.Await.Networks = []string{name}, []string{name}
	return a.Alter(ctx, c)
}
