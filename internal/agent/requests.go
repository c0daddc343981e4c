//go:build linux

package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/agent/bgpctl"
	"github.com/flocknet/flock/internal/agent/claim"
	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/link"
	"github.com/flocknet/flock/internal/agent/metadata"
	"github.com/flocknet/flock/internal/agent/startup"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// What a session does for each request about networks, in the order in which a command makes them.

// anyCluster stands in where a request concerns none.
const anyCluster = "default"

func (s *session) facts(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	cluster := anyCluster
	if r.Want != nil {
		cluster = r.Want.Cluster
	}
	k, err := s.kernel(cluster)
	if err != nil {
		return nil, err
	}
	f, err := claim.Facts(ctx, k.Host, r.Devs)
	if err != nil {
		return nil, err
	}
	f.Agent, f.Cloud = s.version, metadata.Ask(ctx, r.Cloud)
	return &spec.Reply{Facts: f}, nil
}

// plan compares, by one of Kernel's ways to do it.
func (s *session) plan(ctx context.Context, r spec.Request, compare func(*Kernel, context.Context, *spec.Host) (*spec.Plan, error)) (*spec.Reply, error) {
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	k.Sent(r.Want, s.message)
	last := k.Last()
	if s.lock != nil && last != nil && last.BGP != nil {
		// Should this fail, an apply that writes says so.
		_ = bgpctl.NoteWorkstation(k.Files)
	}
	plan, err := compare(k, ctx, r.Want)
	if err != nil {
		return nil, err
	}
	var sum string
	sum, plan.Sum = spec.Sums(r.Want, last)
	if last != nil {
		plan.Generation, plan.Made = last.Generation, last.Made
	}
	plan.Problems = append(claim.Strangers(last, r.Want), plan.Problems...)
	if plan.Pools, err = k.DHCP.PoolUses(r.Want, time.Now()); err != nil {
		return nil, err
	}
	plan.Loose, plan.Bridges = link.Loose(k.Host, r.Want)
	plan.Awaited = k.Awaited
	units, err := unitSteps(k.Files, r.Want)
	if err != nil {
		return nil, err
	}
	network := len(plan.Steps)
	plan.Steps = withBoot(plan.Steps, units, func() bool { return plan.Sum == sum })
	if s.lock != nil || r.Look {
		if network == 0 { // otherwise the network's plan has looked
			plan.Problems = append(plan.Problems, claim.Lacks(ctx, k.Files, families, nil, plan.Steps)...)
		}
		plan.Problems = append(plan.Problems, bgpctl.MissingSecrets(k.Files, r.Want, r.Secrets)...)
		if plan.Leases, err = k.DHCP.Leaving(r.Want); err != nil {
			return nil, err
		}
		s.agreed = ""
		if len(plan.Problems) == 0 && s.lock != nil {
			s.agreed = sum
			if len(plan.Steps) == 0 && sum != "" {
				k.Filters.Note() // no apply follows that would
			}
		}
	}
	reply, err := s.facts(ctx, r)
	if err != nil {
		return nil, err
	}
	reply.Plan = plan
	k.Keys.Former = r.Former
	reply.Keys, err = k.Keys.Existing(r.Keys)
	return reply, err
}

// apply makes the server what r wants and arms the undo.
func (s *session) apply(ctx context.Context, r spec.Request) (*spec.Reply, error) {
	if s.armed != nil {
		return nil, errors.New("the last change is not confirmed yet")
	}
	k, err := s.kernel(r.Want.Cluster)
	if err != nil {
		return nil, err
	}
	k.Sent(r.Want, s.message)
	previous, err := s.previous(ctx, k, r.Want)
	if err != nil {
		return nil, err
	}
	units, err := unitSteps(k.Files, r.Want)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, k, previous, r); err != nil {
		return nil, err
	}
	report, failed := reconcile(ctx, k, r.Want, s.progress)
	report.Steps = withBoot(report.Steps, units, func() bool { return previous.Sum() == r.Want.Sum() })
	s.armed.left, s.armed.timer = report.Remains, time.NewTimer(undoAfter(r))
	if failed != nil {
		report.Undone = true
		report.Error = host.Problem(failed)
		if err := s.goBack(ctx); err != nil {
			report.Undone = false
			report.Error.What += "; and then: " + err.Error()
		}
	}
	// Who leaves may still speak while the others change: the confirmation after them
	// forgets what was learned from that.
	if failed == nil && r.Settle && len(report.Pending)+len(k.Departed) == 0 && !spec.CanCutOff(report.Steps) {
		confirmed, err := s.confirm(ctx)
		if err != nil {
			return nil, err
		}
		last := confirmed.Report
		report.Confirmed, report.Left, report.Remains, report.Looked, report.Error = true, last.Left, last.Remains, last.Looked, last.Error
	}
	return &spec.Reply{Report: report}, nil
}

// begin notes the change that r asks for, and sees to the way back from it to previous.
// Should that fail, nothing was changed yet and nothing of it stays.
func (s *session) begin(ctx context.Context, k *Kernel, previous *spec.Host, r spec.Request) (err error) {
	if !k.Begun() { // otherwise one before it left something
		defer func() {
			if err != nil {
				err = errors.Join(err, k.neverBegan(ctx, previous))
			}
		}()
	}
	if err := k.BeginChange(r.Want); err != nil {
		return err
	}
	maps.DeleteFunc(s.made, func(_, device string) bool {
		return slices.ContainsFunc(r.Want.Links, func(l spec.Link) bool { return l.Name == device })
	})
	k.Secrets, k.Copy = r.Secrets, r.Copy
	k.DHCP.Untouched = r.Untouched
	for network, leases := range r.Leases {
		k.DHCP.Inherit(network, leases)
	}
	if !r.Want.Empty() {
		// Before the first change: after a power cut the boot unit tidies up.
		if err := errors.Join(startup.Ensure(ctx, k.Files), k.Units.Repair(ctx, daemonsOf(k.Files, r.Want))); err != nil {
			return err
		}
	}
	return s.arm(k, previous, r)
}

// previous is what to go back to; nil on a server that has networks of ours and
// forgot what it confirmed: to take everything away would be no way back. It refuses what a plan has problems with; a
// plan of this session counts, the lock was held ever since.
func (s *session) previous(ctx context.Context, k *Kernel, want *spec.Host) (*spec.Host, error) {
	last := k.Last()
	problems := claim.Strangers(last, want)
	if len(problems) == 0 && (s.agreed == "" || s.agreed != want.Sum()) {
		plan, err := k.Plan(ctx, want)
		if err != nil {
			return nil, err
		}
		problems = plan.Problems
	}
	if len(problems) > 0 {
		return nil, hint.With(&problems[0], problems[0].Where, problems[0].Next)
	}
	if last != nil {
		return last, nil
	}
	if k.Lost[spec.SpecFile] {
		return nil, nil
	}
	if !k.Begun() {
		left, err := k.Remains(ctx)
		if err != nil || len(left) > 0 {
			return nil, err
		}
	}
	return &spec.Host{Cluster: want.Cluster, Store: want.Store, Server: want.Server}, nil
}

// confirm keeps what was applied.
func (s *session) confirm(ctx context.Context) (*spec.Reply, error) {
	u := s.armed
	if u == nil {
		return nil, hint.Errorf("", "flock apply", "there is nothing to confirm: the server went back to what it was")
	}
	// Who left may have spoken while the others changed already.
	if err := link.ForgetLearned(u.k.Host); err != nil {
		return nil, err
	}
	// Armed until it is written down: should that fail, the change goes.
	if err := conclude(ctx, u.k.Files, u.want, u.left); err != nil {
		return nil, err
	}
	if !u.want.Empty() {
		if err := u.k.Keys.Finish(u.want); err != nil {
			return nil, err
		}
	}
	u.disarm()
	s.armed = nil
	report := &spec.Report{}
	if u.want.Empty() {
		if err := u.k.lookForRest(ctx, report); err != nil {
			report.Error = host.Problem(err)
		}
	}
	return &spec.Reply{Report: report}, nil
}
