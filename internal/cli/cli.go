// Package cli owns the command line: the tree of commands, what is read from
// arguments, flags and environment, and every word on the screen. Every command
// parses, lets the engine run, and prints, in this order and apart.
//
// It has no rules about networks (see network), makes no connections (see remote)
// and does not change the cluster file itself (see change).
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/handover"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	ExitDone    = 0 // done, nothing pending
	ExitFailed  = 1 // failed, nothing changed anywhere
	ExitUsage   = 2 // bad usage or bad value, nothing contacted
	ExitPartial = 3 // some servers did not converge; flock apply finishes it
	ExitDrift   = 4 // drift or pending changes found
)

// ErrUsage marks a call that was refused before anything was contacted.
var ErrUsage = errors.New("bad usage")

// usage is an error of the call: its message and advice are err's, and it is
// ErrUsage.
type usage struct{ error }

func (u usage) Unwrap() []error { return []error{u.error, ErrUsage} }

// Marked is what the error says.
func (u usage) Marked() error { return u.error }

// refuse makes a usage error with advice. Advice is looked up through errors.As,
// which takes the first branch of usage's tree.
func refuse(next, format string, args ...any) error {
	return usage{hint.Errorf("", next, format, args...)}
}

// exit ends a command with a status other than 0 when everything there is to say
// has been printed.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// partial says that some servers did not converge.
type partial struct{ error }

func (p partial) Unwrap() error { return p.error }

// Marked is what the error says.
func (p partial) Marked() error { return p.error }

// Main runs one command and returns the exit status. Args are the words after
// the program's name. It returns early when ctx ends. A call that is meant for
// util-linux's flock(1) replaces the process and does not return.
func Main(ctx context.Context, args []string, s screen.Streams, getenv func(string) string) int {
	a := &app{Page: view.Page{Streams: s, Getenv: getenv}, args: args, connect: connect}
	return a.main(ctx)
}

func (a *app) main(ctx context.Context) int {
	a.done, a.touched = ctx.Done(), new(atomic.Bool)
	root := newRoot(a)
	if handover.Theirs(root, a.args) {
		return a.status(ctx, a.handOver())
	}
	if err := handover.Misspelled(root, a.args); err != nil {
		return a.status(ctx, usage{err})
	}
	root.SetArgs(a.args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	return a.status(ctx, root.ExecuteContext(ctx))
}

// handOver passes the call on to util-linux's flock. It returns only with an error.
func (a *app) handOver() error {
	path, err := handover.Find(a.args, a.Getenv)
	if err != nil {
		return usage{err}
	}
	return handover.Exec(path, a.args)
}

// status prints err, once, and says how to exit.
func (a *app) status(ctx context.Context, err error) int {
	var code exit
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	var rest partial
	changed := a.touched.Load()
	if _, next := hint.Of(err); changed && next == "" {
		err = hint.With(err, "", "flock apply")
	}
	a.Report(err)
	if changed || errors.As(err, &rest) {
		return ExitPartial
	}
	for _, bad := range []error{ErrUsage, change.ErrInput, state.ErrMalformed} {
		if errors.Is(err, bad) {
			return ExitUsage
		}
	}
	return ExitFailed
}

// app is what every command shares: where it prints, the environment and the global
// flags.
type app struct {
	view.Page
	args     []string
	flags    globals
	connect  func(*app, *state.Store, *progress) engine
	done     <-chan struct{} // closed on an interrupt
	touched  *atomic.Bool    // a server was told to change something
	namesKey bool            // the command takes -i and was given none
}

// exactly and atLeast are cobra's, as usage errors that show how it is done.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }
func atLeast(n int) cobra.PositionalArgs { return between(n, 1<<30) }

func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		what := ""
		switch {
		case len(args) < least:
			what = "too few words"
		case len(args) > most:
			what = fmt.Sprintf("%q is one word too many", args[most])
		default:
			return nil
		}
		return refuse(strings.TrimSuffix(cmd.UseLine(), " [flags]"), "%s: %s", cmd.CommandPath()[len("flock "):], what)
	}
}
