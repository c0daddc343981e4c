package command

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// Reading is a cluster file for listings: completed and compiled; of a file with
// mistakes, as much as can be shown.
type Reading struct {
	Cluster  *state.Cluster
	Compiled *ground.Compiled
	Faults   []edit.Fault
	Verdicts map[string]state.Verdict // by network, of those that were tried
}

// Read reads the cluster file without its lock.
func (a *App) Read(ctx context.Context) (*Reading, error) {
	s, err := a.Store()
	if err != nil {
		return nil, err
	}
	c, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reading{Verdicts: s.Verdicts()}
	r.Cluster, r.Compiled, r.Faults = edit.Salvage(c)
	for i := range r.Faults {
		r.Faults[i].Err = s.Locate(r.Faults[i].Err)
	}
	return r, nil
}

// Networks are the networks of the file; those with mistakes say what is wrong.
func (r *Reading) Networks() []*view.Network {
	views := view.Networks(r.Cluster, r.Compiled, change.Pending(r.Cluster, r.Compiled))
	for _, v := range views {
		if verdict, known := r.Verdicts[v.Name]; known {
			v.Verified = &verdict
		}
	}
	for _, f := range r.Faults {
		for _, v := range views {
			if v.Name == f.Network {
				v.Broken(f.Err)
			}
		}
	}
	return views
}

// Fault is the error about a file that makes no sense, nil for any other. If there are
// several, the last is returned and the others are printed.
func (r *Reading) Fault(a *App) error {
	for i, f := range r.Faults {
		if i == len(r.Faults)-1 {
			return Usage(f.Err)
		}
		a.Report(f.Err)
	}
	return nil
}
