package change

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/answer"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// peer is one server during a change: its connection, the one session on it, and its
// answers.
type peer struct {
	name     string
	session  session
	patience time.Duration // for its first packet; 0: the dialer's
	anew     bool          // its host key is wanted: ssh's connection will not do
	gone     bool          // it left the cluster: nothing is asked for it, or told to it
	first    *spec.Request // what it is asked first, if that is known when it is dialled
	want     *spec.Host    // what it planned last
	speaks   bool          // it has a BGP daemon before the change or is to have one
	former   *state.Server // its entry before the edit; nil: it was not contacted
	plan     *spec.Plan
	facts    *spec.Facts       // in a verification
	keys     map[string]string // in a dry run: the public keys that the server has, by device
	report   *spec.Report
	refused  []error
	bgp      *spec.BGPStatus
	probed   []spec.Probe // with the status, once
	unheard  []spec.Probe // of these
	err      error

	planned, did []spec.Step // in earlier steps of this change
	done         bool        // something was reported in one of those
}

// session is one server's agent, on one connection.
type session interface {
	Do(context.Context, *spec.Request, func(line string)) (*spec.Reply, error)
	Reachable(context.Context) error // a fresh connection gets through
	HostKey() string                 // what the server showed at login, as SHA256:…; "" of the workstation itself
	Close() error
}

// connection is the real session.
type connection struct {
	*remote.Session
	conn *remote.Conn
}

func (c connection) Reachable(ctx context.Context) error { return c.conn.Reachable(ctx) }

func (c connection) HostKey() string { return c.conn.HostKey() }

func (c connection) Close() error { return errors.Join(c.Session.Close(), c.conn.Close()) }

// connect dials t and starts its agent.
func connect(ctx context.Context, d *remote.Dialer, t remote.Target) (session, error) {
	conn, err := d.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	s, err := conn.Agent(ctx)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return connection{s, conn}, nil
}

// Target is how a server of the cluster file is reached.
func Target(c *state.Cluster, name string) remote.Target { return targetOf(name, c.Servers[name]) }

func targetOf(name string, s *state.Server) remote.Target {
	t := remote.Target{Name: name}
	if s != nil {
		if s.Facts != nil && spec.KnownArch(s.Facts.Arch) { // else it is asked
			t.Arch, t.Place = s.Facts.Arch, s.Facts.Place
		}
		t.Host, t.User, t.Port, t.Identity, t.Jump = s.Address, s.User, s.Port, s.Identity, s.Jump
	}
	return t
}

// variant is the agent's program that a server needs for what is wanted; nil asks
// nothing of it. speaks is peer's: a server may have to undo a change, and the spec of a
// server that was never looked at is not known yet.
func variant(want *spec.Host, speaks bool) remote.Variant {
	if speaks || want != nil && want.BGP != nil {
		return remote.WithBGP
	}
	return remote.Slim
}

// slowAnswer is after how long a server that has not accepted the login is named.
const slowAnswer = time.Second

// dial opens the connection and starts the agent, once.
func (p *peer) dial(ctx context.Context, e *Engine, c *state.Cluster) error {
	if p.session != nil {
		return nil
	}
	e.event(Event{Server: p.name, Line: "connecting"})
	open := e.open
	if open == nil {
		open = func(ctx context.Context, t remote.Target) (session, error) { return connect(ctx, e.Dialer, t) }
	}
	slow := time.AfterFunc(slowAnswer, func() { e.event(Event{Server: p.name, Line: "no answer yet"}) })
	defer slow.Stop()
	t := Target(c, p.name)
	t.Variant, t.Connect, t.Anew, t.Quiet, t.First = variant(p.want, p.speaks), p.patience, p.anew, p.gone, p.first
	if p.former != nil && (p.former.Address != t.Host || p.former.Port != t.Port) {
		was := targetOf(p.name, p.former)
		t.Formerly = &was
	}
	s, err := open(ctx, t)
	if err != nil {
		return err
	}
	p.session = s
	return nil
}

// close ends the session. All answers have been read, so errors of the connection are
// ignored.
func (p *peer) close() {
	if p.session != nil {
		_ = p.session.Close()
	}
}

// do sends one request. Without an error the reply is complete and reports no failure,
// see answer.Check. With one, the reply is nil, or has what was done before the failure.
func (p *peer) do(ctx context.Context, e *Engine, req *spec.Request) (*spec.Reply, error) {
	reply, err := p.session.Do(ctx, req, func(line string) { e.event(Event{Server: p.name, Line: line}) })
	if err != nil {
		return nil, hint.With(fmt.Errorf("%s %s: %w", req.Op, p.name, err), "server "+p.name, "")
	}
	return reply, answer.Check(p.name, req, reply)
}

// apply applies the spec on the server, which can undo it until it is told that a fresh
// connection reached it. given is what it needs besides the spec.
func (p *peer) apply(ctx context.Context, e *Engine, given spec.Request) (*spec.Report, error) {
	e.touching()
	e.event(Event{Server: p.name, Line: "applying"})
	req := &given
	req.Op, req.Want, req.Undo, req.Settle, req.Holder = spec.OpApply, p.want, undoAfter, true, e.Holder
	reply, err := p.do(ctx, e, req)
	if reply == nil {
		return nil, err
	}
	report := reply.Report
	if err == nil {
		err = p.sawNothing(ctx, e, report)
	}
	if err != nil {
		return report, err
	}
	if report.Confirmed {
		return report, p.remains(report)
	}
	if err := p.session.Reachable(ctx); err != nil {
		report.Undone = true
		return report, hint.With(fmt.Errorf("%s accepts no new connections, it undoes the change by itself: %w", p.name, err), "server "+p.name, "")
	}
	confirmed, err := p.do(ctx, e, &spec.Request{Op: spec.OpConfirm})
	if err != nil {
		return report, err
	}
	return report, p.remains(confirmed.Report)
}

// sawNothing asks again if a server planned something and then reports success without a
// step: somebody else did it, or the report is false.
func (p *peer) sawNothing(ctx context.Context, e *Engine, report *spec.Report) error {
	if p.plan == nil || len(p.plan.Steps) == 0 || len(report.Steps) > 0 {
		return nil
	}
	reply, err := p.do(ctx, e, &spec.Request{Op: spec.OpStatus, Want: p.want, Holder: e.Holder})
	if err != nil {
		return err
	}
	if steps := reply.Plan.Steps; len(steps) > 0 {
		return answer.DidNothing(p.name, steps)
	}
	return nil
}

// remains is the error about a server that should have nothing of flock's, and has, or
// did not look.
func (p *peer) remains(report *spec.Report) error {
	if !p.want.Empty() {
		return nil
	}
	return answer.NothingRemains(p.name, report)
}

// outcome is the result so far.
func (r *run) outcome() *Outcome {
	out := &Outcome{
		Cluster: r.c, Saved: r.saved, Notes: slices.Concat(r.compiled.Notes, edit.Renumbered(r.was, r.compiled.Hosts), edit.Narrowed(r.was, r.compiled.Hosts)),
		Beside: append(slices.Clone(r.beside), r.cloned()...), Silent: r.silent, Deaf: r.deaf, Unheard: r.unheard, Leaving: r.gone, Stayed: r.stayed,
		Pending: pending(r.c, r.compiled, r.sums), Behind: r.behind,
	}
	if !r.saved { // of what is to come
		out.Notes = slices.Concat(edit.Apart(r.c, r.was, r.compiled.Hosts), r.direct(), out.Notes)
	}
	for _, name := range sortedNames(r.peers) {
		p := r.peers[name]
		if p.err != nil && slices.Contains(r.retired, name) {
			continue // its reason is reported elsewhere
		}
		plan, report := p.whole()
		out.Servers = append(out.Servers, Server{Name: name, State: p.state(), Plan: plan, Report: report, Err: p.trouble(), BGP: p.bgp})
	}
	out.Servers = slices.Concat(r.formerly, r.cloudServers(), out.Servers)
	out.Notes = append(out.Notes, r.clouds.Notes()...)
	for _, p := range r.visited {
		out.Servers = append(out.Servers, Server{Name: p.name + " (gone)", State: p.state(), Plan: p.plan, Report: p.report, Err: p.trouble()})
	}
	return out
}

func (p *peer) trouble() error {
	if p.err == nil && len(p.refused) > 0 {
		return errors.Join(p.refused...)
	}
	return p.err
}

func (p *peer) state() string {
	switch {
	case p.report != nil && p.report.Undone:
		return Undone
	case p.err != nil && p.session == nil:
		return Unreachable
	case p.err != nil:
		return Failed
	case len(p.refused) > 0:
		return Refused
	case p.report != nil || p.done:
		return Done
	case p.plan != nil && len(p.plan.Steps) > 0:
		return Planned
	}
	return Unchanged
}
