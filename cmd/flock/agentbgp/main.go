// Command agentbgp is flock on a server that speaks BGP: cmd/flock/agent and the BGP
// daemon, "agent bgp CLUSTER".
package main

import (
	"os"

	"github.com/flocknet/flock/internal/agent"
	"github.com/flocknet/flock/internal/bgp"
)

func main() { os.Exit(agent.Program(map[string]agent.Command{"bgp": agent.Speaker(bgp.Run)})) }
