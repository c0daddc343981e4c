package cli

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDelNetwork(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "delnetwork NAME SERVER...",
		Short: "take servers out of a network",
		Long: `Take servers out of a network: every trace of it leaves them, and they leave the lists
of the other members. The network stays, also without members.

  flock delnetwork vx1 s2`,
		Args:              atLeast(2),
		ValidArgsFunction: a.completeMembership(true),
		Annotations:       changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.delNetwork(cmd.Context(), args[0], args[1:])
		},
	}
}

func (a *app) delNetwork(ctx context.Context, name string, servers []string) error {
	return a.alter(ctx, alter{
		Request: change.Request{
			Edit: func(c *state.Cluster) error { return network.Leave(c, name, servers) },
		},
		question: func() string { return fmt.Sprintf("remove %s from %s?", name, listed(servers)) },
		networks: []string{name},
		said:     func(out *change.Outcome) string { return ready(out, name) },
	})
}
