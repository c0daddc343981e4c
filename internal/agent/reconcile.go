//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

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
// so far in the report, which is never nil.
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
			if err := errors.Join(k.settleSysctls(seen.effective), k.settleRoutes(seen.effective), k.forgetLearned(), k.services.settleDaemons(ctx, seen.effective)); err != nil {
				return report, err
			}
			break
		}
		if round == maxRounds {
			report.Pending = Steps(seen.ops)
			break
		}
		if err := k.noteRoutes(seen.effective); err != nil {
			return report, err
		}
		a := &applier{k: k, want: seen.effective, done: func(s spec.Step) {
			report.Steps = append(report.Steps, s)
			progress(s.String())
		}}
		err := a.apply(ctx, seen.ops)
		if err != nil && (!planned || ctx.Err() != nil) {
			return report, err
		}
		// What went wrong because somebody was faster, a fresh look sets right; what
		// goes wrong again ends the work.
		planned = false
		if seen = k.glance(seen); err != nil {
			seen = nil
		}
	}
	if !want.Empty() {
		k.nft.note.keep()
		return report, nil
	}
	if err := k.endStrays(ctx); err != nil {
		return report, err
	}
	left, err := k.Left(ctx)
	noteRest(report, left)
	return report, err
}

// outlook is what a look at the server found.
type outlook struct {
	ops       []Op       // what has to be done
	effective *spec.Host // what is wanted, with what follows from it here
	have      *spec.Host // what is there

	sum     string    // by Plan: of what was wanted
	at      time.Time // by Plan
	filters uint32    // by Plan: nftables' generation
}

// planHolds is how long a plan spares Reconcile its first look, if the kernel says
// that nothing has moved.
const planHolds = 2 * time.Second

// takeOutlook returns what a plan for want found to do a moment ago, once; nil where
// there is none. What a server's daemons need
// besides its spec may have come only now, so that a BGP speaker's is none.
func (k *Kernel) takeOutlook(want *spec.Host) *outlook {
	p := k.outlook
	k.outlook = nil
	if p == nil || len(p.ops) == 0 || time.Since(p.at) > planHolds || want.BGP != nil || p.sum != want.Sum() || k.watch.Moved() {
		return nil
	}
	if now, err := k.nft.generation(); err != nil || now != p.filters {
		return nil
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
// they were about and at settings. It says that all is done, or nil: look at
// everything. That is so where something is not as it should be, and after ops that
// can change more than they name. Flood entries, neighbours and routes cannot; they
// are what every member of a network gets when one more joins.
func (k *Kernel) glance(o *outlook) *outlook {
	have := *o.have
	have.Sysctls = nil
	again := map[string]func(*spec.Host) error{
		"sysctl": func(have *spec.Host) error { return k.observeSysctls(o.effective, have) },
	}
	for _, op := range o.ops {
		object := op.Want
		if object == nil {
			object = op.Have
		}
		switch object.(type) {
		case spec.FDB:
			have.FDB, again["fdb"] = nil, k.observeFDB
		case spec.Neigh:
			have.Neighs, again["neigh"] = nil, k.observeNeighs
		case spec.Route:
			have.Routes, again["route"] = nil, func(have *spec.Host) error {
				err := k.readRoutes()
				k.observeRoutes(o.effective, have)
				return err
			}
		default:
			return nil
		}
	}
	for _, look := range again {
		if look(&have) != nil {
			return nil
		}
	}
	if len(Diff(o.effective, &have)) > 0 {
		return nil
	}
	return &outlook{effective: o.effective, have: &have}
}

// differences looks at the server and returns what separates it from want. A foreign
// device under a name of ours is an error: nothing may be changed then.
func (k *Kernel) differences(ctx context.Context, want *spec.Host) (*outlook, error) {
	seen, err := k.lookAt(ctx, want)
	if err != nil {
		return nil, err
	}
	if list := k.conflicts(want); len(list) > 0 {
		p := list[0]
		return nil, hint.With(errors.New(p.What), p.Where, p.Next)
	}
	return seen, nil
}

func (k *Kernel) lookAt(ctx context.Context, want *spec.Host) (*outlook, error) {
	effective, err := k.wanted(want)
	if err != nil {
		return nil, err
	}
	have, err := k.Observe(ctx, effective)
	if err != nil {
		return nil, err
	}
	ops := Diff(effective, have)
	k.namePorts(ops)
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
	obstacles, err := k.obstacles(ctx, want, seen, plan.Steps)
	if err != nil {
		return nil, err
	}
	plan.Problems = append(plan.Problems, obstacles...)
	if len(plan.Problems) == 0 {
		seen.sum, seen.at, seen.filters = want.Sum(), time.Now(), k.nft.looked
		k.outlook = seen
	}
	return plan, nil
}

// Status is Plan without the claims: what differs, and foreign devices under our
// names. It adds how WireGuard's peers get on.
func (k *Kernel) Status(ctx context.Context, want *spec.Host) (*spec.Plan, error) {
	plan, _, err := k.compare(ctx, want)
	if err != nil {
		return nil, err
	}
	plan.Sessions = k.wg.sessions
	return plan, nil
}

func (k *Kernel) compare(ctx context.Context, want *spec.Host) (*spec.Plan, *outlook, error) {
	seen, err := k.lookAt(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	return &spec.Plan{Steps: Steps(seen.ops), Problems: k.conflicts(want)}, seen, nil
}

// applier performs the ops of one round. Messages to the kernel about small
// objects are gathered and sent together; new links stay down until what stands on
// them is there, so that no frame passes a half-made network.
type applier struct {
	k    *Kernel
	want *spec.Host
	done func(spec.Step)

	batch   []*nl.NetlinkRequest
	batched []Op     // one per message; without a step where it only prepares or ends another one
	cover   *cover   // nil until it is asked for
	raise   []string // links that are still down
	filters []spec.Step
	bgp     []spec.Step
	peers   []Op
	members []Op
}

func (a *applier) apply(ctx context.Context, ops []Op) error {
	a.k.fresh = false
	for i, op := range ops {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.one(ctx, op); err != nil {
			return fmt.Errorf("%s: %w", verb(op.Step), err)
		}
		if last := i == len(ops)-1; last || stage(ops[i+1]) != stage(op) {
			if err := a.finish(ctx, stage(op), last); err != nil {
				return err
			}
		}
	}
	return nil
}

// Stages of a round that something waits for the end of.
const (
	stageOther   = iota
	stageMake    // links and what stands on them
	stageFilters // packet filters, written as a whole
	stageUse     // what needs links that are up
	stageBGP     // the BGP daemon, which takes up all changes at once
)

func stage(op Op) int {
	object := op.Want
	if object == nil {
		object = op.Have
	}
	switch object.(type) {
	case spec.Link, spec.Addr, spec.Neigh, spec.FDB, spec.Peer, spec.Member:
		return stageMake
	case spec.Gateway, spec.Guard, spec.Door, spec.NAT, spec.Keep, spec.Forward:
		return stageFilters
	case spec.Route, spec.DHCP:
		return stageUse
	case bgpPart:
		return stageBGP
	}
	return stageOther
}

// finish ends a stage: what was gathered is sent.
func (a *applier) finish(ctx context.Context, of int, last bool) error {
	if err := errors.Join(a.flush(), a.flushPeers(ctx), a.flushMembers(ctx)); err != nil {
		return err
	}
	if of == stageFilters {
		if err := a.k.nft.replace(a.want); err != nil {
			return fmt.Errorf("write packet filters: %w", err)
		}
		a.report(a.filters)
		a.filters = nil
	}
	if of == stageBGP {
		if err := a.speak(ctx); err != nil {
			return err
		}
	}
	if of == stageFilters || last {
		return a.up()
	}
	return nil
}

// speak brings the BGP daemon to what is wanted.
func (a *applier) speak(ctx context.Context) error {
	if err := a.up(); err != nil {
		return err
	}
	do := func() error { return a.k.removeBGP(ctx) }
	if a.want.BGP != nil {
		do = func() error { return a.k.services.setBGP(ctx, a.want.BGP) }
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", verb(a.bgp[0]), err)
	}
	a.report(a.bgp)
	a.bgp = nil
	return nil
}

func (a *applier) up() error {
	err := a.k.raise(a.raise)
	a.raise = nil
	return err
}

func (a *applier) report(steps []spec.Step) {
	for _, s := range steps {
		a.done(s)
	}
}

// one performs op, or gathers it.
func (a *applier) one(ctx context.Context, op Op) error {
	object := op.Want
	if object == nil {
		object = op.Have
	}
	var err error
	switch v := object.(type) {
	case spec.Addr, spec.Neigh, spec.FDB, spec.Route:
		return a.gather(op)
	case spec.Gateway, spec.Guard, spec.Door, spec.NAT, spec.Keep, spec.Forward:
		a.filters = append(a.filters, op.Step)
		return nil
	case spec.Peer:
		a.peers = append(a.peers, op)
		return nil
	case bgpPart:
		a.bgp = append(a.bgp, op.Step)
		return nil
	case spec.Member:
		a.members = append(a.members, op)
		return nil
	case spec.Link:
		err = a.link(ctx, op, v)
	case spec.Sysctl:
		if op.Want == nil {
			err = a.k.dropSysctl(v.Key)
		} else {
			err = a.k.setSysctl(v)
		}
	case spec.DHCP:
		if op.Want == nil {
			err = a.k.services.removeDHCP(ctx, v.Network)
		} else if err = a.up(); err == nil {
			err = a.k.services.setDHCP(ctx, v)
		}
	case spec.SubnetEnv:
		if op.Want == nil {
			err = a.k.services.removeEnv(v.Network)
		} else {
			err = a.k.services.setEnv(v)
		}
	case spec.Unmanage:
		if op.Want == nil {
			err = a.k.services.removeUnmanaged(ctx)
		} else {
			err = a.k.services.setUnmanaged(ctx, v)
		}
	}
	if err == nil {
		a.done(op.Step)
	}
	return err
}

func (a *applier) link(ctx context.Context, op Op, l spec.Link) error {
	if err := errors.Join(a.flush(), a.flushPeers(ctx), a.flushMembers(ctx)); err != nil { // what stood on it went first
		return err
	}
	have, found := op.Have.(spec.Link)
	if op.Want == nil {
		return a.k.deleteLink(ctx, l)
	}
	anew := !found
	var err error
	if found {
		anew, err = a.k.changeLink(ctx, l, have)
	} else {
		err = a.k.newLink(ctx, l)
	}
	if err == nil && anew {
		a.raise = append(a.raise, l.Name)
	}
	return err
}

// gather keeps the message of a small object until the batch is full.
func (a *applier) gather(op Op) error {
	if _, route := op.Want.(spec.Route); route && len(a.raise) > 0 {
		if err := a.flush(); err != nil {
			return err
		}
		if err := a.up(); err != nil {
			return err
		}
	}
	m, err := a.k.message(op)
	if err != nil {
		return err
	}
	before, after, err := a.around(op)
	if err != nil {
		return err
	}
	if len(a.batch)+3 > rtnl.MaxBatch {
		if err := a.flush(); err != nil {
			return err
		}
	}
	a.queue(before, Op{})
	a.queue(m, op)
	a.queue(after, Op{})
	return nil
}

func (a *applier) queue(m *nl.NetlinkRequest, op Op) {
	if m != nil {
		a.batch, a.batched = append(a.batch, m), append(a.batched, op)
	}
}

// around returns the messages that op's needs before and after it, nil for none.
func (a *applier) around(op Op) (before, after *nl.NetlinkRequest, err error) {
	if addr, ok := op.Want.(spec.Addr); ok && op.Have != nil { // takes its place when it is added
		before, err = a.k.addrMessage(unix.RTM_DELADDR, addr)
		return before, nil, err
	}
	r, ok := op.Want.(spec.Route)
	if !ok || !r.Onlink {
		return nil, nil, nil
	}
	if a.cover == nil {
		a.cover = a.k.covers(a.want)
	}
	return a.k.shelter(a.cover, r)
}

func (a *applier) flush() error {
	if len(a.batch) == 0 {
		return nil
	}
	answers, err := a.k.rt.Send(a.batch...)
	if err != nil {
		return err
	}
	var failed error
	for i, err := range answers {
		op := a.batched[i]
		s := op.Step
		switch {
		case s.Object == "": // what it was for says whether it was of use
		case err == nil:
			a.done(s)
			if f, ok := op.Have.(spec.FDB); ok && f.MAC == spec.ZeroMAC {
				a.k.departed = append(a.k.departed, f)
			}
		case s.Action == spec.Remove && gone(err):
			// It went by itself: a secondary address with its primary, a route with
			// its device.
		case failed != nil:
		case errors.Is(err, unix.EEXIST):
			failed = hint.With(fmt.Errorf("%s: %w", verb(s), err), "", "remove what is there, then flock apply")
		default:
			failed = fmt.Errorf("%s: %w", verb(s), err)
		}
	}
	a.batch, a.batched = a.batch[:0], a.batched[:0]
	return failed
}

func (a *applier) flushPeers(ctx context.Context) error {
	if err := a.k.setPeers(ctx, a.peers); err != nil {
		return err
	}
	a.report(Steps(a.peers))
	a.peers = nil
	return nil
}

func (a *applier) flushMembers(ctx context.Context) error {
	if err := a.k.setMembers(ctx, a.want, a.members); err != nil {
		return err
	}
	a.report(Steps(a.members))
	a.members = nil
	return nil
}

func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)
}

// message is the netlink message for a small object.
func (k *Kernel) message(op Op) (*nl.NetlinkRequest, error) {
	replace := 0
	if op.Have != nil {
		replace = unix.NLM_F_REPLACE
	} else {
		replace = unix.NLM_F_EXCL
	}
	if op.Want == nil {
		switch v := op.Have.(type) {
		case spec.Addr:
			return k.addrMessage(unix.RTM_DELADDR, v)
		case spec.Neigh:
			return k.neighMessage(unix.RTM_DELNEIGH, 0, v)
		case spec.FDB:
			return k.fdbMessage(unix.RTM_DELNEIGH, v)
		case spec.Route:
			return k.routeMessage(unix.RTM_DELROUTE, 0, v)
		}
	}
	switch v := op.Want.(type) {
	case spec.Addr:
		return k.addrMessage(unix.RTM_NEWADDR, v)
	case spec.Neigh:
		// The kernel may have resolved the address meanwhile: that entry gives way.
		return k.neighMessage(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, v)
	case spec.FDB:
		return k.fdbMessage(unix.RTM_NEWNEIGH, v)
	case spec.Route:
		return k.routeMessage(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|replace, v)
	}
	return nil, fmt.Errorf("no message for %T", op.Want)
}

func verb(s spec.Step) string {
	switch s.Action {
	case spec.Add:
		return "add " + s.Object
	case spec.Remove:
		return "remove " + s.Object
	}
	return "change " + s.Object
}
