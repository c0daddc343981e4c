//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/startup"
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
	want     *spec.Host  // what the change made
	previous *spec.Host  // what was confirmed before; empty if nothing was, nil if that is not known
	left     []string    // what was left after the change
	timer    *time.Timer // nil while the change is made
	watchdog *watchdog   // nil where there is no way back
}

// disarm ends the wait for a confirmation.
func (u *undo) disarm() {
	if u.timer != nil {
		u.timer.Stop()
	}
	u.watchdog.disarm()
}

// arm sees to it, before the first change, that there is a way back to previous from what
// r asks for: by this process, and by another one should it be killed or hang. Nobody
// needs that where nothing can be cut off (changing); plan holds still for that, an
// outlook is there until it is carried out.
func (s *session) arm(k *Kernel, previous *spec.Host, r spec.Request) error {
	u := &undo{k: k, want: r.Want, previous: previous}
	if previous != nil && s.changing(r) {
		var err error
		if u.watchdog, err = startWatchdog(k.Files, requestWithin+undoAfter(r)+undoWithin); err != nil {
			return err
		}
	}
	s.armed = u
	return nil
}

// undoAfter is how long the change that r asks for waits for its confirmation.
func undoAfter(r spec.Request) time.Duration {
	if r.Undo <= 0 {
		return undoDefault
	}
	return r.Undo
}

// expired is nil, and so never ready, while nothing waits for a confirmation.
func (u *undo) expired() <-chan time.Time {
	if u == nil || u.timer == nil {
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
	defer u.disarm()
	u.k.Copy = "" // of what was not confirmed
	if u.previous == nil {
		return errors.Join(errors.New("what was confirmed before is not known here, so nothing was taken back"), u.k.EndChange())
	}
	return u.k.backTo(ctx, u.previous, s.progress)
}

// neverBegan takes back the notes of a change that has changed nothing.
func (k *Kernel) neverBegan(ctx context.Context, previous *spec.Host) error {
	if previous == nil || !previous.Empty() {
		return k.EndChange()
	}
	left, err := k.Remains(ctx)
	if err != nil {
		return err
	}
	return conclude(ctx, k.Files, previous, left)
}

// backTo makes the server what h says, which was confirmed before; an empty one leaves no
// trace.
func (k *Kernel) backTo(ctx context.Context, h *spec.Host, progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	report, err := reconcile(ctx, k, h, progress)
	if err == nil && len(report.Pending) > 0 {
		err = fmt.Errorf("this differs again and again: %s", spec.FewSteps(report.Pending))
	}
	if err != nil {
		return fmt.Errorf("go back to what was confirmed: %w", err)
	}
	return conclude(ctx, k.Files, h, report.Remains)
}

// settle notes that h stands and is confirmed. An empty h leaves no trace.
func conclude(ctx context.Context, s *host.Files, h *spec.Host, left []string) error {
	if !h.Empty() {
		return errors.Join(s.Store(h), startup.Ensure(ctx, s), bgpctl.DropSecrets(s, h))
	}
	if len(left) > 0 {
		return fmt.Errorf("objects of cluster %s are left: %s", h.Cluster, fewRemains(left))
	}
	if err := s.Forget(); err != nil {
		return err
	}
	return startup.Drop(ctx, s)
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
