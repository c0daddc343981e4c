//go:build carry

package main

import (
	"fmt"
	"os"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
)

// asAgent refuses: the agents that this program carries are programs of their own.
func asAgent([]string) int {
	fmt.Fprint(os.Stderr, hint.Text("flock", hint.Errorf("", "on a server: /usr/local/lib/flock/*/flock agent …",
		"this program carries the agent for servers and is none itself")))
	return command.ExitUsage
}
