// Package command owns what commands share: global flags, the engine, questions, completion,
// how a change is told, exit statuses. It knows no command, has no rules about networks (see
// network), makes no connections (see remote) and does not change the cluster file itself.
package command

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// App is what every command shares: where it prints, the environment and the global
// flags.
type App struct {
	view.Page
	Args    []string // the words after the program's name
	Version string   // of flock, noted in files that it writes
	// Connect makes the engine; nil: the one that reaches real servers.
	Connect  func(*App, *state.Store, *Progress) Engine
	flags    globals
	done     <-chan struct{} // closed on an interrupt
	asked    atomic.Int64    // how long people took to answer, nanoseconds
	touched  atomic.Bool     // a server was told to change something
	namesKey bool            // the command takes -i and was given none
	ran      *cobra.Command  // the command that was called; nil before it is known
}

// Until ends what waits for a person when ctx ends.
func (a *App) Until(ctx context.Context) { a.done = ctx.Done() }

// Touched notes that a server was told to change something: an error is exit status 3
// from now on.
func (a *App) Touched() { a.touched.Store(true) }

// Parallel is at how many servers something is done at once.
func (a *App) Parallel() int { return a.flags.parallel }

// DryRun says whether plans are all that is wanted.
func (a *App) DryRun() bool { return a.flags.dryRun }

// Exactly is cobra's ExactArgs, as a usage error that shows how it is done.
func Exactly(n int) cobra.PositionalArgs { return Between(n, n) }

// AtLeast is cobra's MinimumNArgs, in the same way.
func AtLeast(n int) cobra.PositionalArgs { return Between(n, 1<<30) }

// Between is cobra's RangeArgs, in the same way.
func Between(least, most int) cobra.PositionalArgs {
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
		return Refuse(strings.TrimSuffix(cmd.UseLine(), " [flags]"), "%s: %s", cmd.CommandPath()[len("flock "):], what)
	}
}
