package command

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/flocknet/flock/internal/capture"
)

// Capture takes packets at s's points for a while, 0: until an interrupt, and tells of it. They
// go to a file, to standard output for "-", or, for "", out as lines. fewer is the command that
// takes less of them: advice when kernels had no room for all; "": there is none.
func (a *App) Capture(ctx context.Context, file string, within time.Duration, s *capture.Sink, fewer string) error {
	begin := func() error { return nil }
	if file == "-" {
		s.File = a.Out
	} else if file != "" {
		f, begun, err := captureFile(file)
		if err != nil {
			return Usage(fmt.Errorf("write the capture: %w", err))
		}
		defer f.Close() //nolint:errcheck // what is written is flushed
		s.File, begin = f, begun
	}
	s.Gone = a.Report
	if err := a.With(func(e Engine, p *Progress) error {
		return e.Capture(ctx, s.Points, within, func(sources map[int]capture.Source, absent map[int]error) error {
			p.Stop()
			if err := begin(); err != nil {
				return fmt.Errorf("write the capture: %w", err)
			}
			on, err := s.Begin(sources, absent, within)
			a.Say("%s", on)
			return err
		}, s.Take)
	}); err != nil {
		return err
	}
	says, lossy, err := s.End()
	if err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	a.Say("%s", says)
	if lossy && fewer != "" {
		a.Say("next:  %s", fewer)
	}
	if len(s.Absent) > 0 {
		return Exit(ExitPartial)
	}
	return nil
}

// captureFile opens a file to write. What it has stays until begin is called, which also makes
// it its owner's alone: packets are nobody else's business. Of what is no file, as a pipe, all
// stays.
func captureFile(name string) (f *os.File, begin func() error, err error) {
	if f, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, nil, err
	}
	return f, func() error {
		if i, err := f.Stat(); err != nil || !i.Mode().IsRegular() {
			return err
		}
		if err := f.Chmod(0o600); err != nil {
			return err
		}
		return f.Truncate(0)
	}, nil
}
