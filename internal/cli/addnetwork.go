package cli

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newAddNetwork(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "addnetwork NAME MEMBER...",
		Short: "make servers members of a network",
		Long: `Make servers members of a network. A member is SERVER, SERVER:INTERFACE or SERVER:IP:
the underlay interface or address that the network uses there (default: that of the
default route); IPv6 addresses in brackets, s1:[fd00::1]. 'local' is this workstation.

All servers concerned check the plan first; one that refuses keeps all untouched. A
server that cannot be reached is kept in the file as pending: 'flock apply' finishes it.

  flock addnetwork vx1 s1 s2
  flock addnetwork vx1 s3:eth1 --dry-run`,
		Args:              atLeast(2),
		ValidArgsFunction: a.completeMembership(false),
		Annotations:       changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.addNetwork(cmd.Context(), args[0], args[1:])
		},
	}
}

func (a *app) addNetwork(ctx context.Context, name string, members []string) error {
	return a.alter(ctx, alter{
		Request: change.Request{
			Edit: func(c *state.Cluster) error { return network.Join(c, name, members) },
		},
		networks: []string{name},
		said:     func(out *change.Outcome) string { return ready(out, name) },
	})
}

// ready says how a network stands after a change.
func ready(out *change.Outcome, name string) string {
	n := out.Cluster.Networks[name]
	if n == nil {
		return name + " removed"
	}
	if len(n.Members) == 0 {
		return name + ": no members"
	}
	return name + ": " + plural(len(n.Members), "member") + ", ready"
}
