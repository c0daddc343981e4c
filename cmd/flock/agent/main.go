// Command agent is flock on a server: the agent's commands and nothing of the
// workstation's, installed as /usr/local/lib/flock/VERSION/flock. It owns the
// process: its streams and exit status.
//
// It takes the same words as the whole program, "agent serve" and so on, which
// stands in for it where flock was built without agents to carry.
package main

import (
	"os"

	"github.com/flocknet/flock/internal/agent"
)

func main() { os.Exit(agent.Program(nil)) }
