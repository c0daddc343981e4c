// Package cli owns the tree of commands, and those of servers and networks: what is read
// from their arguments and flags, and their words on the screen. Every command parses, lets
// the engine run, and prints, in this order and apart. What they share is in command.
//
// It has no rules about networks (see network), makes no connections (see remote)
// and does not change the cluster file itself (see change).
package cli

import (
	"context"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/handover"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// Main runs one command and returns the exit status. Args are the words after
// the program's name. It returns early when ctx ends. A call that is meant for
// util-linux's flock(1) replaces the process and does not return.
func Main(ctx context.Context, args []string, s screen.Streams, getenv func(string) string) int {
	a := &app{&command.App{Page: view.Page{Streams: s, Getenv: getenv}, Args: args}}
	return a.main(ctx)
}

// app has the methods of the commands of this room.
type app struct{ *command.App }

func (a *app) main(ctx context.Context) int {
	a.Version = command.Version()
	a.Until(ctx)
	root := newRoot(a)
	a.AsCalled(root)
	if a.Name != screen.Packaged && handover.Theirs(root, a.Args) {
		return a.Status(ctx, a.handOver())
	}
	if err := handover.Misspelled(root, a.Args); err != nil {
		return a.Status(ctx, command.Usage(err))
	}
	if err := a.ValueApart(root); err != nil {
		return a.Status(ctx, err)
	}
	root.SetArgs(a.Args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	return a.Status(ctx, root.ExecuteContext(ctx))
}

// handOver passes the call on to util-linux's flock. It returns only with an error.
func (a *app) handOver() error {
	path, err := handover.Find(a.Args, a.Getenv)
	if err != nil {
		return command.Usage(err)
	}
	return handover.Exec(path, a.Args)
}

// Tree is the tree of commands for documents, under the name that the program has there.
func Tree(name string) *cobra.Command {
	a := &app{&command.App{Page: view.Page{Streams: screen.Streams{Name: name}, Getenv: func(string) string { return "" }}}}
	root := newRoot(a)
	a.AsCalled(root)
	return root
}
