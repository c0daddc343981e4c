// Command agent is flock on a server: the agent's commands and nothing of the
// workstation's, installed as /usr/local/lib/flock/VERSION/flock. It owns the
// process: its streams, signals and exit status.
//
// It takes the same words as the whole program, "agent serve" and so on, which
// stands in for it where flock was built without agents to carry.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/flocknet/flock/internal/agent"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the work in good order, a second one the process.
	context.AfterFunc(ctx, stop)
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "agent" {
		args = args[1:]
	}
	return agent.Main(ctx, args, os.Stdin, os.Stdout, os.Stderr, nil)
}
