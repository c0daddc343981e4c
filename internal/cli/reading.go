package cli

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// reading is a cluster file for listings: completed and compiled; of a file with
// mistakes, as much as can be shown.
type reading struct {
	c        *state.Cluster
	compiled *ground.Compiled
	faults   []edit.Fault
}

func (a *app) read(ctx context.Context) (*reading, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	c, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	r := &reading{}
	r.c, r.compiled, r.faults = edit.Salvage(c)
	for i := range r.faults {
		r.faults[i].Err = s.Locate(r.faults[i].Err)
	}
	return r, nil
}

// networks are the networks of the file; those with mistakes say what is wrong.
func (r *reading) networks() []*view.Network {
	views := view.Networks(r.c, r.compiled, change.Pending(r.c, r.compiled))
	for _, f := range r.faults {
		for _, v := range views {
			if v.Name == f.Network {
				v.Broken(f.Err)
			}
		}
	}
	return views
}

// fault is the error about a file that makes no sense, nil for any other. If there are
// several, the last is returned and the others are printed.
func (r *reading) fault(a *app) error {
	for i, f := range r.faults {
		if i == len(r.faults)-1 {
			return usage{f.Err}
		}
		a.Report(f.Err)
	}
	return nil
}
