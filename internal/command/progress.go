package command

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// Progress shows what each server does.
type Progress struct {
	*screen.Lines
	verbose bool
}

// NewProgress begins with an empty screen.
func NewProgress(a *App) *Progress {
	live := a.ErrTTY && a.Getenv("TERM") != "dumb" && !a.Verbose
	return &Progress{screen.NewLines(a.Streams, live, a.Quiet), a.Verbose}
}

// Show shows one line of a server. The summary shows the result, and counts the steps.
func (p *Progress) Show(e change.Event) {
	p.Event(e.Server, e.Line, e.Done, !p.verbose && (isStep(e.Line) || e.Line == change.LinePlanned))
}

// isStep says whether a line of progress is one step of many.
func isStep(line string) bool {
	return slices.ContainsFunc([]string{spec.Add, spec.Change, spec.Remove}, func(action string) bool {
		return strings.HasPrefix(line, action+" ")
	})
}
