package command

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/capture"
)

// Capture takes packets of the network called name at s's points for a while, 0: until an
// interrupt, and tells of it. They go to a file, to standard output for "-", or, for "", out as
// lines.
func (a *App) Capture(ctx context.Context, name, file string, within time.Duration, s *capture.Sink) error {
	if file == "-" {
		s.File = a.Out
	} else if file != "" {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) // packets are nobody else's business
		if err != nil {
			return Usage(fmt.Errorf("write the capture: %w", err))
		}
		defer f.Close() //nolint:errcheck // what is written is flushed
		s.File = f
	}
	if err := a.With(func(e Engine, p *Progress) error {
		return e.Capture(ctx, s.Points, within, func(sources map[int]capture.Source, absent map[int]error) error {
			p.Stop()
			on, err := s.Begin(sources, absent, within)
			a.Say("%s", on)
			return err
		}, s.Take)
	}); err != nil {
		return err
	}
	says, err := s.End(name)
	if err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	a.Say("%s", says)
	for _, i := range slices.Sorted(maps.Keys(s.Absent)) {
		a.Report(s.Absent[i])
	}
	if len(s.Absent) > 0 {
		return Exit(ExitPartial)
	}
	return nil
}
