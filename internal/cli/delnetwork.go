package cli

import (
	"context"
	"fmt"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

func newDelNetwork(a *app) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "delnetwork NAME [client|server|subnet] SERVER...",
		Short: "take servers out of a network",
		Long: `Take servers out of a network: every trace of it leaves them, and they leave the lists
of the other members. The network stays, also without members. Clients of a wireguard
network take the subnets that they share along; its lead server cannot leave (flock
removenetwork removes the network). 'subnet SERVER:CIDR...' ends the sharing of subnets.

With --force a server may be dead: the others are changed at once, and it is pending, as
listservers says, until it answers again and flock apply cleans it. A lead server that is
forced out is followed by the member that joined next.

  flock delnetwork vx1 s2
  flock delnetwork vx1 s3 --force
  flock delnetwork wirex client s2
  flock delnetwork wirex server s1 --force
  flock delnetwork wirex subnet s3:10.0.12.0/24`,
		Args:              command.AtLeast(2),
		ValidArgsFunction: a.completeMembership(true),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, going, err := leaving(args, force)
			if err != nil {
				return err
			}
			return a.delNetwork(cmd.Context(), args[0], going, wanted, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also servers that do not answer, and the lead")
	return cmd
}

// leaving is the edit that the words of delnetwork ask for, and what goes.
func leaving(args []string, force bool) (wanted func(*state.Cluster) error, going []string, err error) {
	name, role, rest := args[0], args[1], args[2:]
	switch {
	case role == roleServer && force && len(rest) > 0:
		return func(c *state.Cluster) error { return edit.ForceOut(c, name, rest) }, rest, nil
	case role == roleServer:
		return nil, nil, command.Refuse("flock removenetwork "+name+", or where it is dead flock delnetwork "+name+" server SERVER --force", "delnetwork: the lead server cannot leave the network, which can be removed")
	case len(rest) == 0 && isRole(role):
		return nil, nil, command.Refuse("flock delnetwork "+name+" "+role+" SERVER", "delnetwork: nothing follows %q", role)
	case role == roleClient && force:
		return func(c *state.Cluster) error { return edit.ForceOut(c, name, rest) }, rest, nil
	case role == roleClient:
		return func(c *state.Cluster) error { return edit.LeaveClients(c, name, rest) }, rest, nil
	case role == roleSubnet && force:
		return nil, nil, command.Refuse("leave --force away", "delnetwork: the sharing of a subnet ends whether its server answers or not")
	case role == roleSubnet:
		return func(c *state.Cluster) error { return edit.DelShares(c, name, rest) }, rest, nil
	}
	return func(c *state.Cluster) error { return edit.Leave(c, name, args[1:]) }, args[1:], nil
}

func (a *app) delNetwork(ctx context.Context, name string, going []string, wanted func(*state.Cluster) error, force bool) error {
	var away []string
	if force {
		away = going
	}
	return a.Alter(ctx, command.Alter{
		Request:  change.Request{Edit: wanted},
		Question: func() string { return fmt.Sprintf("remove %s from %s?", view.Listed(going), name) },
		About:    []string{name},
		Away:     away,
		Already:  command.AlreadyGone(view.Listed(going), name),
		Said:     func(out *change.Outcome) string { return command.Ready(out, name) },
	})
}
