package change

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/flocknet/flock/internal/cloud"
)

// The route tables of clouds are places that a change plans, applies and confirms, as servers
// are: rows come before the servers use them, and go when none does any more.

// planClouds has the clouds plan that the change concerns.
func (r *run) planClouds(ctx context.Context) error {
	r.clouds = cloud.NewSet(r.compiled.Clouds, r.c.Clouds)
	r.clouds.Touching, r.clouds.Strict = r.e.touching, r.req.Edit != nil
	r.clouds.Say = func(name, line string) { r.e.event(Event{Server: name, Line: line}) }
	return r.clouds.Plan(ctx, cloud.Login{Getenv: r.e.Getenv}, func(p *cloud.Place) bool {
		all := r.req.All && (len(r.req.Networks) == 0 || slices.ContainsFunc(r.req.Networks, p.Concerns))
		return all || !r.req.Only && (cloud.Sums(r.clouded, r.c.Clouds)[p.Key()] != p.Sum() || p.Ends())
	})
}

// cloudServers are clouds as parts of an outcome, by table.
func (r *run) cloudServers() (out []Server) {
	for _, t := range r.clouds.Results() {
		s := Server{Name: t.Name, State: Unchanged, Plan: t.Plan, Report: t.Report, Err: cmp.Or(t.Err, errors.Join(t.Refused...))}
		switch {
		case t.Err != nil && !t.Seen:
			s.State = Unreachable
		case t.Err != nil:
			s.State = Failed
		case s.Err != nil:
			s.State = Refused
		case t.Report != nil:
			s.State = Done
		case len(t.Plan.Steps) > 0:
			s.State = Planned
		}
		out = append(out, s)
	}
	return out
}
