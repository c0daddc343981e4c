package cli

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newRotateKeys(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rotatekeys NAME [SERVER...]",
		Short: "give members of a network new WireGuard keys",
		Long: `Give members of a wireguard or l2 network new keys, one server after the other. Each server
makes its new key pair itself and uses it, and the others are given its new public key at
once; their sessions with each other continue. If a server does not answer, it keeps its
key, and so do those after it.

  flock rotatekeys wirex
  flock rotatekeys wirex s2`,
		Args:              command.AtLeast(1),
		ValidArgsFunction: a.completeKeyed(),
		Annotations:       command.Changing(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.rotateKeys(cmd.Context(), args[0], args[1:]) },
	}
}

func (a *app) rotateKeys(ctx context.Context, name string, servers []string) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	if len(servers) == 0 && c.Networks[name] != nil {
		for _, m := range c.Networks[name].Members {
			servers = append(servers, ground.ServerOf(m))
		}
		if len(servers) == 0 {
			return command.Usage(hint.Errorf("network "+name, "flock listnetworks "+name, "%s has no members", name))
		}
	}
	if len(servers) == 0 {
		servers = []string{""} // so that the error names the network
	}
	var turns []change.Rotation
	for _, server := range servers {
		turn := change.Rotation{Network: name, Server: server}
		if err := change.CheckRotation(c, turn); err != nil {
			return command.Usage(err)
		}
		turns = append(turns, turn)
	}
	return a.Alter(ctx, command.Alter{
		Request: change.Request{Rotate: turns, Contact: servers[:1]},
		About:   []string{name},
		Said:    func(*change.Outcome) string { return fmt.Sprintf("%s: new keys of %s", name, view.Listed(servers)) },
	})
}
