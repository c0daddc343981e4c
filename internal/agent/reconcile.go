//go:build linux

package agent

import (
	"context"
	"errors"
	"time"

	"github.com/flocknet/flock/internal/agent/claim"
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// maxRounds is how often Reconcile looks again. One round does it unless kernel
// objects lean on each other (a removed address takes its secondaries along) or
// somebody else changes things meanwhile.
const maxRounds = 4

// Reconcile changes the server until it is what want says, and looks again after
// every round. Progress, which may be nil, gets one line per step. What does not
// settle is in Report.Pending; an error ends the work at once, with the steps done
// so far in the report, which is never nil. What was confirmed before comes back as far as
// it can: who holds the port of a DNS server, say, keeps no route away.
func Reconcile(ctx context.Context, k *Kernel, want *spec.Host, progress func(string)) (*spec.Report, error) {
	report := &spec.Report{}
	if progress == nil {
		progress = func(string) {}
	}
	seen := k.takeOutlook(want)
	planned := seen != nil
	for round := 0; ; round++ {
		if seen == nil {
			var err error
			if seen, err = k.differences(ctx, want); err != nil {
				return report, err
			}
		}
		if len(seen.ops) == 0 {
			if err := k.finish(ctx, seen.effective); err != nil {
				return report, err
			}
			break
		}
		if round == maxRounds {
			report.Pending = family.Steps(seen.ops)
			break
		}
		if err := k.prepare(seen.effective); err != nil {
			return report, err
		}
		a := family.NewApplier(k.Host, families, seen.effective, func(s spec.Step) {
			report.Steps = append(report.Steps, s)
			progress(s.String())
		})
		a.GoOn = func() bool { return !planned && !want.Empty() && k.Last().Sum() == want.Sum() }
		err := a.Apply(ctx, seen.ops)
		if err != nil && (!planned || ctx.Err() != nil) {
			return report, errors.Join(a.Left, err)
		}
		if a.Left != nil {
			return report, errors.Join(a.Left, k.finish(ctx, seen.effective))
		}
		// What went wrong because somebody was faster, a fresh look sets right; what
		// goes wrong again ends the work.
		planned = false
		if seen = k.glance(seen); err != nil {
			seen = nil
		}
	}
	if !want.Empty() {
		return report, nil
	}
	return report, k.tidy(ctx, report)
}

// tidy ends what nobody knows any more, and notes in report what is left.
func (k *Kernel) tidy(ctx context.Context, report *spec.Report) error {
	for _, f := range families {
		if f.Strays == nil {
			continue
		}
		if err := f.Strays(ctx, k.Host); err != nil {
			return err
		}
	}
	left, err := k.Remains(ctx)
	noteRest(report, left)
	return err
}

// outlook is what a look at the server found.
type outlook struct {
	ops       []family.Op // what has to be done
	effective *spec.Host  // what is wanted, with what follows from it here
	have      *spec.Host  // what is there

	want *spec.Host // by Plan: what was wanted, which nobody changes
	at   time.Time  // by Plan
}

// planHolds is how long a plan spares Reconcile its first look, if the kernel says
// that nothing has moved.
const planHolds = 2 * time.Second

// takeOutlook returns what a plan for want found to do a moment ago, once; nil where
// there is none.
func (k *Kernel) takeOutlook(want *spec.Host) *outlook {
	p := k.outlook
	k.outlook = nil
	if p == nil || len(p.ops) == 0 || time.Since(p.at) > planHolds || p.want.Sum() != want.Sum() || k.watch.Moved() {
		return nil
	}
	for _, f := range families {
		if f.Moved != nil && f.Moved(k.Host, want) {
			return nil
		}
	}
	return p
}

// startWatch makes the kernel say what moves from now on.
func (k *Kernel) startWatch() error {
	if k.watch != nil {
		k.watch.Moved()
		return nil
	}
	var err error
	k.watch, err = rtnl.NewWatch()
	return err
}

// glance looks again after o.ops were carried out, only at the kinds of objects that
// they were about and at those that others shake. It says that all is done, or nil: look
// at everything. That is so where something is not as it should be, and after ops that
// can change more than they name. Flood entries, neighbours and routes cannot; they
// are what every member of a network gets when one more joins.
func (k *Kernel) glance(o *outlook) *outlook {
	have := *o.have
	again := make([]bool, len(families))
	for _, op := range o.ops {
		if families[op.Family].Glance == nil {
			return nil
		}
		again[op.Family] = true
	}
	for i, f := range families {
		look := f.Shaken
		if again[i] {
			look = f.Glance
		}
		if look != nil && look(k.Host, o.effective, &have) != nil {
			return nil
		}
	}
	if len(Diff(o.effective, &have)) > 0 {
		return nil
	}
	return &outlook{effective: o.effective, have: &have}
}

// prepare remembers what the ops that lead to want must not lose.
func (k *Kernel) prepare(want *spec.Host) error {
	for _, f := range families {
		if f.Prepare == nil {
			continue
		}
		if err := f.Prepare(k.Host, want); err != nil {
			return err
		}
	}
	return nil
}

// finish does what is left to do when want is there.
func (k *Kernel) finish(ctx context.Context, want *spec.Host) error {
	var errs []error
	for _, f := range families {
		if f.Finish != nil {
			errs = append(errs, f.Finish(ctx, k.Host, want))
		}
	}
	for _, f := range families { // last, because it can take seconds: what others remember is written
		if f.Run != nil {
			errs = append(errs, f.Run(ctx, k.Files, want))
		}
	}
	return errors.Join(errs...)
}

// differences looks at the server and returns what separates it from want. A foreign
// device under a name of ours is an error: nothing may be changed then.
func (k *Kernel) differences(ctx context.Context, want *spec.Host) (*outlook, error) {
	seen, err := k.lookAt(ctx, want)
	if err != nil {
		return nil, err
	}
	if list := claim.Conflicts(k.Host, want); len(list) > 0 {
		p := list[0]
		return nil, hint.With(errors.New(p.What), p.Where, p.Next)
	}
	return seen, nil
}

func (k *Kernel) lookAt(ctx context.Context, want *spec.Host) (*outlook, error) {
	effective := want
	for _, f := range families {
		if f.Implied == nil {
			continue
		}
		var err error
		if effective, err = f.Implied(k.Host, effective); err != nil {
			return nil, err
		}
	}
	have, err := k.Observe(ctx, effective)
	if err != nil {
		return nil, err
	}
	ops := Diff(effective, have)
	for i := range ops {
		if explain := families[ops[i].Family].Explain; explain != nil {
			explain(k.Host, &ops[i])
		}
	}
	return &outlook{ops: ops, effective: effective, have: have}, nil
}

// Plan returns what Reconcile would do, and what stands in its way: conflicts with
// foreign objects and claims that do not hold. It changes nothing.
func (k *Kernel) Plan(ctx context.Context, want *spec.Host) (*spec.Plan, error) {
	k.outlook = nil
	if err := k.startWatch(); err != nil {
		return nil, err
	}
	plan, seen, err := k.compare(ctx, want)
	if err != nil {
		return nil, err
	}
	obstacles, err := claim.Obstacles(ctx, k.Host, families, want, seen.have, seen.ops, plan.Steps)
	if err != nil {
		return nil, err
	}
	plan.Problems, plan.VNIs, plan.Own = append(plan.Problems, obstacles...), claim.VNIs(k.Host), claim.Own(k.Host, want)
	if len(plan.Problems) == 0 {
		seen.want, seen.at = want, time.Now()
		k.outlook = seen
		for _, f := range families {
			if f.Planned != nil {
				f.Planned(k.Host)
			}
		}
	}
	return plan, nil
}

// Status is Plan without most claims: what differs, foreign devices under our names, and
// who has the ports of what is missing. It adds how objects get on.
func (k *Kernel) Status(ctx context.Context, want *spec.Host) (*spec.Plan, error) {
	plan, seen, err := k.compare(ctx, want)
	if err != nil {
		return nil, err
	}
	if len(seen.ops) > 0 {
		plan.Problems = append(plan.Problems, claim.Ports(k.Host, families, want, seen.have, seen.ops)...)
	}
	for _, f := range families {
		if f.Status != nil {
			f.Status(k.Host, plan)
		}
	}
	return plan, nil
}

func (k *Kernel) compare(ctx context.Context, want *spec.Host) (*spec.Plan, *outlook, error) {
	seen, err := k.lookAt(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	return &spec.Plan{Steps: family.Steps(seen.ops), Problems: claim.Conflicts(k.Host, want)}, seen, nil
}
