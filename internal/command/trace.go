package command

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/view"
)

// traceEnv is the environment variable with a file to which every change and dry run
// appends one line of JSON: what the servers planned, and what they did. The walks
// compare the two.
const traceEnv = "FLOCK_TRACE"

type traceDoc struct {
	Args    []string          `json:"args"`
	DryRun  bool              `json:"dry_run"`
	Keys    map[string]string `json:"keys"` // whose every public WireGuard key is
	Servers []traceServer     `json:"servers"`
}

type traceServer struct {
	Name   string         `json:"name"`
	State  string         `json:"state"`
	Plan   []view.StepDoc `json:"plan"`
	Report []view.StepDoc `json:"report"` // null: nothing was applied
}

// Trace adds what came of a change to the file that FLOCK_TRACE names.
func (a *App) Trace(out *change.Outcome, dryRun bool) error {
	path := a.Getenv(traceEnv)
	if path == "" || out == nil {
		return nil
	}
	doc := traceDoc{Args: a.Args, DryRun: dryRun, Keys: map[string]string{}}
	for _, n := range out.Cluster.Networks {
		for server, at := range n.Allocated {
			if at.Key != "" {
				doc.Keys[at.Key] = server
			}
		}
	}
	for _, s := range out.Servers {
		t := traceServer{Name: s.Name, State: s.State}
		if s.Plan != nil {
			for _, step := range s.Plan.Steps {
				t.Plan = append(t.Plan, view.StepDoc(step))
			}
		}
		if s.Report != nil {
			t.Report = []view.StepDoc{}
			for _, step := range s.Report.Steps {
				t.Report = append(t.Report, view.StepDoc(step))
			}
		}
		doc.Servers = append(doc.Servers, t)
	}
	line, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return f.Close()
}
