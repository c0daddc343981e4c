// Command agentbgp is flock on a server that speaks BGP: cmd/flock/agent and the BGP
// daemon, "agent bgp CLUSTER".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/flocknet/flock/internal/agent"
	"github.com/flocknet/flock/internal/bgp"
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
	return agent.Main(ctx, args, os.Stdin, os.Stdout, os.Stderr, map[string]agent.Command{"bgp": agent.Speaker(bgp.Run)})
}
