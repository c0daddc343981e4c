package cli

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// progress shows what each server does.
type progress struct {
	*screen.Lines
	verbose bool
}

func newProgress(a *app) *progress {
	live := a.ErrTTY && a.Getenv("TERM") != "dumb" && !a.Verbose
	return &progress{screen.NewLines(a.Streams, live, a.Quiet), a.Verbose}
}

// event shows one line of a server. The summary shows the result, and counts the steps.
func (p *progress) event(e change.Event) {
	p.Event(e.Server, e.Line, e.Done, !p.verbose && (isStep(e.Line) || e.Line == change.LinePlanned))
}

// isStep says whether a line of progress is one step of many.
func isStep(line string) bool {
	return slices.ContainsFunc([]string{spec.Add, spec.Change, spec.Remove}, func(action string) bool {
		return strings.HasPrefix(line, action+" ")
	})
}
