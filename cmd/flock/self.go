//go:build !carry

package main

import (
	"os"

	"github.com/flocknet/flock/internal/agent"
	"github.com/flocknet/flock/internal/bgp"
)

// asAgent runs a command of the agent's: without agents to carry, this program goes
// to servers itself.
func asAgent(args []string) int {
	return agent.Main(args, os.Stdin, os.Stdout, os.Stderr, map[string]agent.Command{"bgp": agent.Speaker(bgp.Run)})
}
