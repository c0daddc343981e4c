//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

const (
	// undoDefault is how long a change stands without a confirmation if the
	// request does not say.
	undoDefault = 30 * time.Second
	// undoWithin bounds the way back: nobody is there to end it.
	undoWithin = 2 * time.Minute
)

// undo is the way back from a change that is not confirmed yet.
type undo struct {
	k        *Kernel
	want     *spec.Host // what the change made
	previous *spec.Host // what was confirmed before; empty if nothing was, nil if that is not known
	left     int        // objects left after the change
	timer    *time.Timer
}

// expired is nil, and so never ready, while nothing waits for a confirmation.
func (u *undo) expired() <-chan time.Time {
	if u == nil {
		return nil
	}
	return u.timer.C
}

// goBack makes the server what it was before the change, whoever is still there
// to see it.
func (s *session) goBack(ctx context.Context) error {
	u := s.armed
	if u == nil {
		return nil
	}
	s.armed = nil
	u.timer.Stop()
	if u.previous == nil {
		return errors.Join(errors.New("what was confirmed before is not known here, so nothing was taken back"), u.k.services.settled())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	report, err := reconcile(ctx, u.k, u.previous, s.progress)
	if err == nil && len(report.Pending) > 0 {
		err = fmt.Errorf("this differs again and again: %s", spec.FewSteps(report.Pending))
	}
	if err != nil {
		return fmt.Errorf("go back to what was confirmed: %w", err)
	}
	return s.settle(ctx, u.k.services, u.previous, report.Left)
}

// settle notes that h stands and is confirmed. An empty h leaves no trace.
func (s *session) settle(ctx context.Context, on *services, h *spec.Host, left int) error {
	if !h.Empty() {
		return errors.Join(on.keep(h), on.ensureBoot(ctx), on.dropSecrets(h))
	}
	if left > 0 {
		return fmt.Errorf("%d objects of cluster %s are left", left, h.Cluster)
	}
	if err := on.forget(); err != nil {
		return err
	}
	return on.dropBoot(ctx)
}

// reconcile is Reconcile with a panic turned into an error: the way back must be
// gone whatever happens on the way there.
func reconcile(ctx context.Context, k *Kernel, want *spec.Host, progress func(string)) (report *spec.Report, err error) {
	defer func() {
		if v := recover(); v != nil {
			report, err = &spec.Report{}, panicError(v)
		}
	}()
	return Reconcile(ctx, k, want, progress)
}

func panicError(v any) error { return fmt.Errorf("the agent has a bug: %v\n%s", v, debug.Stack()) }
