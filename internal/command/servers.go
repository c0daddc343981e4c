package command

import (
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote"
	"github.com/flocknet/flock/internal/state"
)

// KnownServers refuses, with exit status 2, names that the cluster file does not have.
func KnownServers(c *state.Cluster, names ...string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if c.Servers[name] == nil && name != remote.Local {
			return Usage(hint.Unknown("server", name, "flock listservers"))
		}
		if seen[name] {
			return Usage(hint.Errorf("server "+name, "name it once", "%s is named twice", name))
		}
		seen[name] = true
	}
	return nil
}

// KnownNetworks refuses, with exit status 2, names that are no network's.
func KnownNetworks(c *state.Cluster, names []string) error {
	for _, name := range names {
		if c.Networks[name] == nil {
			return Usage(hint.Unknown("network", name, "flock listnetworks"))
		}
	}
	return nil
}

// NoServer is the refusal of a command for servers where the cluster file has none.
func NoServer() error {
	return Usage(hint.Errorf("", "flock addserver NAME [USER@]ADDRESS", "there is no server"))
}
