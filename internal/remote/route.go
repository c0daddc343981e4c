package remote

import (
	"context"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/sshconfig"
)

// route is where a target leads once ssh's config has been asked.
type route struct {
	*sshconfig.Route
	target   Target
	formerly string // the KeyName of the server's former place; "": there is none
}

// route finds out where t leads; nothing is contacted.
func (d *Dialer) route(ctx context.Context, t Target) (*route, error) {
	c, err := d.sshConfig()
	if err != nil {
		return nil, err
	}
	r, err := c.Route(ctx, sshconfig.Destination{Alias: t.alias(), User: t.User, Port: t.Port, Identity: t.Identity, Jump: t.Jump})
	if err != nil {
		return nil, hint.With(err, t.where(), "")
	}
	out := &route{Route: r, target: t}
	if t.Formerly != nil {
		if was, err := d.route(ctx, *t.Formerly); err == nil && was.KeyName != r.KeyName { // an unknown place is asked about
			out.formerly = was.KeyName
		}
	}
	return out, nil
}
