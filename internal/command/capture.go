package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/capture"
)

// Capture takes packets at s's points for a while, 0: until an interrupt, and tells of it. They
// go to a file, to standard output for "-", or, for "", out as lines. fewer is the command that
// takes less of them: advice when kernels had no room for all; "": there is none.
func (a *App) Capture(ctx context.Context, file string, within time.Duration, s *capture.Sink, fewer string) error {
	begin := func() error { return nil }
	began := false
	var out *reader
	if file == "-" {
		out = &reader{to: a.Out, over: ctx}
		s.File = out
	} else if file != "" {
		f, fresh, begun, err := captureFile(file)
		if err != nil {
			return Usage(fmt.Errorf("write the capture: %w", err))
		}
		defer func() {
			_ = f.Close() // what is written is flushed
			if fresh && !began {
				_ = os.Remove(file)
			}
		}()
		s.File, begin = f, begun
	}
	s.Gone = a.Report
	if err := a.With(func(e Engine, p *Progress) error {
		return e.Capture(ctx, s.Points, within, func(sources map[int]capture.Source, absent map[int]error) error {
			p.Stop()
			if began = len(sources) > 0; !began {
				s.File = nil // nothing will come
			} else if err := begin(); err != nil {
				return fmt.Errorf("write the capture: %w", err)
			}
			if out != nil && within > 0 {
				over, stop := context.WithTimeout(ctx, within)
				context.AfterFunc(over, stop)
				out.over = over
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

// reader writes to a program that reads. When the capture is over, one that has stopped reading is not
// waited for.
type reader struct {
	to   io.Writer
	over context.Context //nolint:containedctx // when that is, is known when servers have begun
}

const (
	readerWaits = 3 * time.Second // for a part of this many bytes, when the capture is over
	readerPart  = 64 << 10
)

var errUnread = errors.New("nobody reads what is written to standard output")

// Write writes b in parts.
func (r *reader) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		part := slices.Clone(b[:min(len(b), readerPart)])
		done := make(chan error, 1)
		go func() {
			_, err := r.to.Write(part)
			done <- err
		}()
		select {
		case err = <-done:
		case <-r.over.Done():
			select {
			case err = <-done:
			case <-time.After(readerWaits):
				err = errUnread
			}
		}
		if err == nil {
			n, b = n+len(part), b[len(part):]
		}
	}
	return n, err
}

// captureFile opens a file to write, and says whether it was not there before. What it has stays
// until begin is called, which also makes it its owner's alone: packets are nobody else's business.
// Of what is no file, as a pipe, all stays.
func captureFile(name string) (f *os.File, fresh bool, begin func() error, err error) {
	f, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if fresh = err == nil; errors.Is(err, os.ErrExist) {
		f, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return nil, false, nil, err
	}
	return f, fresh, func() error {
		if i, err := f.Stat(); err != nil || !i.Mode().IsRegular() {
			return err
		}
		if err := f.Chmod(0o600); err != nil {
			return err
		}
		return f.Truncate(0)
	}, nil
}
