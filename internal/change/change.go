// Package change owns one change of the cluster, from the edit to the last server's
// confirmation: it edits a copy of the cluster file, compiles it, has every server
// concerned plan and check, saves the desired state, applies it, checks that the servers
// can still be reached, and records what they confirmed.
//
// It does not know what networks mean (see network) or how bytes reach a server (see
// remote), and prints nothing (see cli).
package change

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/flocknet/flock/internal/doctor"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/target"
)

// undoAfter is how long a server waits for the confirmation before it undoes the change.
// A fresh connection takes a round trip or two.
const undoAfter = 30 * time.Second

// ErrInput marks an edit that was refused before anything was contacted.
var ErrInput = errors.New("bad input")

// ErrRefused marks the error of servers whose check found something in the way: nothing was
// changed anywhere.
var ErrRefused = errors.New("refused")

// refusedError keeps the message and advice of a server's error and is ErrRefused.
type refusedError struct{ error }

func (e refusedError) Unwrap() []error { return []error{e.error, ErrRefused} }

// Marked is what the error says.
func (e refusedError) Marked() error { return e.error }

// inputError keeps the message and advice of an edit's error and is ErrInput.
type inputError struct{ error }

func (e inputError) Unwrap() []error { return []error{e.error, ErrInput} }

// Engine carries changes out.
type Engine struct {
	Store    *state.Store
	Dialer   *remote.Dialer
	Parallel int                 // servers at once; 0: 64
	Holder   string              // shown to others that wait for a lock: admin@laptop, flock addnetwork
	Progress func(Event)         // called concurrently; nil: not called
	Now      func() time.Time    // nil: time.Now
	Getenv   func(string) string // where logins to clouds are found; nil: nowhere
	Touching func()              // called before a server is told to change something; concurrently; nil: not called

	wait time.Duration                                         // for BGP sessions; 0: awaitBGP or awaitConverged
	open func(context.Context, remote.Target) (session, error) // nil: through Dialer
}

// Event is one line of progress of one server.
type Event struct {
	Server string
	Line   string
	Done   bool  // the last one of this server
	Err    error // why it failed; only with Done
}

// LinePlanned is the line of an Event of a server that has planned.
const LinePlanned = "planned"

// Request says what to change.
type Request struct {
	// Edit changes the desired state; nil changes nothing. It is called on a copy.
	Edit func(*state.Cluster) error
	// Only contacts no servers but those of Contact, whichever the edit concerns: for a
	// dry run of one server.
	Only bool
	// DryRun plans on the live servers and changes nothing, the file included.
	DryRun bool
	// All contacts every server or, with Networks, every member of these and those whose
	// spec changes by what is found there. Without All, only servers are contacted whose
	// spec the edit changes, and members of Networks that are pending.
	All      bool
	Networks []string
	// Contact are servers that must answer, whether their spec changes or not:
	// without them nothing is saved.
	Contact []string
	// Moves is a server, by its name after the edit, that may be reached elsewhere than before
	// and have other addresses: it is contacted before all others, must be the same machine,
	// and networks follow it (edit.Follow). "": none.
	Moves string
	// Replaces says that the server of Moves is another machine there, not the same.
	Replaces bool
	// Rotate gives members new WireGuard keys, one after the other, with the edit repeated
	// for each. What is no member of a network with keys is refused before (CheckRotation).
	// A server that does not answer, or fails, keeps its key, and so do those after it.
	Rotate []Rotation
	// Await makes the change wait for the sessions and routes of BGP networks; nil: it
	// does not wait.
	Await *Await
	// Retire returns, after the edit, the servers that are removed from the file once
	// nothing is on them any more; nil: none. They remove everything of flock, whichever
	// cluster file made it. A server that does not answer stays in the file and is
	// pending, except with Force.
	Retire func() []string
	Force  bool
	// Secrets are passwords by their ids in the cluster file. They are sent only to the
	// servers whose spec names them, when these apply.
	Secrets map[string]string
	// Containers is a server whose containers Found is told of before the edit; "": none.
	// An error of Found ends the change.
	Containers string
	Found      func([]spec.Container) error
	// Accepted is called when the edit is valid, before any server is contacted; an
	// error ends the change. It is not called with DryRun; nil: not called.
	Accepted func() error
	// NoVerify leaves out whether the members that the change brings together reach each other.
	NoVerify bool
	// Approve is asked with the plan before anything is saved; nil means yes.
	Approve func(*Outcome) (bool, error)
	// Asks says, when the edit is valid, whether Approve waits for a person. Approve
	// then gets a plan that took no lock, and what the servers plan afterwards must be
	// the same. nil: nobody is waited for.
	Asks func() bool
}

// Await says which BGP networks a change waits for: those of Networks or, without any,
// those for whose members something was done. Of the sessions with speakers outside of
// the network it waits for those that something was done for, and for Outside.
type Await struct {
	Networks []string
	Outside  *Outside // nil: none
}

// States of a Server in an Outcome.
const (
	Unchanged   = "unchanged"   // nothing to do
	Planned     = "planned"     // steps are known, nothing was done
	Done        = "done"        // steps were done and confirmed
	Undone      = "undone"      // the server undid the change
	Unreachable = "unreachable" // no session
	Refused     = "refused"     // the server's check found a conflict
	Failed      = "failed"      // the session broke, or the server did not converge
)

// Server is the result for one server that was contacted.
type Server struct {
	Name   string
	State  string
	Plan   *spec.Plan   // nil where there was no session
	Report *spec.Report // nil where nothing was applied
	Err    error        // nil for Unchanged, Planned, Done

	BGP *spec.BGPStatus // of a server that was only looked at; nil where no daemon answers
}

// Outcome is the result of a change.
type Outcome struct {
	Cluster *state.Cluster // after the edit; with DryRun as it would be
	Servers []Server       // contacted ones, by name
	Saved   bool           // the cluster file was written
	Notes   []ground.Note  // what the plans do not show
	Beside  []ground.Note  // servers with the same machine id, host key or WireGuard key; firewalls of theirs that drop what a tunnel needs
	Silent  []ground.Note  // pairs of members without contact: those that became peers, or that were looked at
	Deaf    []network.Path // the paths between members on which probes failed; of WireGuard only where servers were looked at
	Unheard []ground.Note  // BGP sessions and routes that did not come up in time
	Leaving []string       // with DryRun: networks, servers, members and subnets that would be removed from the file
	Stayed  []Stayed       // servers removed from the file that still have something of flock's
	Pending []string       // servers that have not confirmed what the file says, by name
	Behind  []string       // servers that had not confirmed what the file said before the edit, by name
}

// Stayed is a server that was removed from the file and could not be cleaned.
type Stayed struct {
	Server string
	Err    error // why
}

// Run carries req out, in as many steps as needed; the file is one generation further
// then, or unchanged. An error before the first call of Touching means that nothing was
// changed, neither on a server nor in the file; the Outcome is then nil, or says who
// refused. With a nil error, Outcome.Pending tells whether everything converged.
func (e *Engine) Run(ctx context.Context, req Request) (*Outcome, error) {
	r, err := e.begin(ctx, req)
	if err != nil {
		return nil, err
	}
	defer r.end()
	r.looking = !req.DryRun && req.Approve != nil && req.Asks != nil && req.Asks()
	if err := r.reach(ctx); err != nil {
		return nil, err
	}
	if err := r.plan(ctx, spec.OpPlan); err != nil {
		return nil, err
	}
	if err := r.agreed(); err != nil {
		return r.outcome(), err
	}
	if req.DryRun {
		err := r.visit(ctx)
		r.askFirewalls(ctx, func(p *peer) bool { return doctor.Meets(p.want, p.plan) })
		return r.outcome(), err
	}
	if req.Approve != nil {
		if ok, err := req.Approve(r.outcome()); err != nil || !ok {
			return r.outcome(), cmp.Or(err, errors.New("not approved, nothing was changed"))
		}
	}
	if r.looking {
		if err := r.planAgain(ctx); err != nil {
			return r.outcome(), err
		}
	}
	err = r.carry(ctx)
	if err == nil {
		r.askFirewalls(ctx, func(p *peer) bool { return r.muted[p.name] })
		err = r.follow(ctx)
	}
	if err == nil {
		err = r.visit(ctx)
	}
	return r.outcome(), err
}

// Status looks at servers and the members of networks (at all servers if none are named)
// and takes no lock: every server's Plan has what differs from the desired state.
func (e *Engine) Status(ctx context.Context, networks, servers []string) (*Outcome, error) {
	all := len(networks) > 0 || len(servers) == 0
	r, err := e.begin(ctx, Request{DryRun: true, Only: true, All: all, Networks: networks, Contact: servers})
	if err != nil {
		return nil, err
	}
	defer r.end()
	if err := r.plan(ctx, spec.OpStatus); err != nil {
		return nil, err
	}
	_ = r.refusal() // refusals are shown with their servers
	r.askBGP(ctx)
	r.probeAll(ctx)
	_ = e.Store.NoteVerdicts(r.c, nil, r.verdicts) // as a change does
	return r.outcome(), nil
}

// Purge removes everything that flock put on a server, whichever cluster file made it.
// The server need not be in the file: it is [USER@]ADDRESS[:PORT] then, or a name in
// ssh's config, and login has its identity and jump hosts.
func (e *Engine) Purge(ctx context.Context, server string, login state.Server) (*spec.Report, error) {
	locked, err := e.Store.Lock(ctx, e.Holder)
	if err != nil {
		return nil, err
	}
	defer release(locked)
	c := locked.Cluster()
	servers, filed := c.Servers, c.Servers[server] != nil
	if !filed && server != remote.Local {
		s := &state.Server{Identity: login.Identity, Jump: login.Jump}
		if s.User, s.Address, s.Port, err = target.Parse(server); err != nil {
			return nil, inputError{err}
		}
		c.Servers = map[string]*state.Server{server: s} // not saved
	}
	if err := checkWay(c, server); err != nil {
		return nil, inputError{e.Store.Locate(err)}
	}
	p := &peer{name: server}
	defer p.close()
	if err := p.dial(ctx, e, c); err != nil {
		return nil, err
	}
	want := &spec.Host{Cluster: c.Name, Store: c.ID, Server: server}
	report, err := p.purge(ctx, e, want)
	if err != nil {
		return report, err
	}
	way := c.Servers[server]
	c.Servers = servers
	forgot := edit.Forget(c, func(g state.Gone) bool { return way != nil && g.Address == way.Address && g.Port == way.Port })
	if filed {
		c.Servers[server].Confirmed = nil
	}
	if filed || forgot {
		return report, locked.Save(c)
	}
	return report, nil
}

// checkWay refuses a server whose address, user, port or jumps, in the file or on the
// command line, are malformed.
func checkWay(c *state.Cluster, server string) error {
	s := c.Servers[server]
	if s == nil {
		return nil
	}
	if err := option.CheckLogin(s); err != nil {
		where, _ := hint.Of(err)
		return hint.Pin(err, "server "+server+", "+where)
	}
	return nil
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now().UTC().Truncate(time.Second)
}

func (e *Engine) touching() {
	if e.Touching != nil {
		e.Touching()
	}
}

func (e *Engine) event(ev Event) {
	if e.Progress != nil {
		e.Progress(ev)
	}
}
