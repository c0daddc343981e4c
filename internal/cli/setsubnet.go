package cli

import (
	"context"
	"net/netip"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

type setSubnetOptions struct {
	server string
	subnet netip.Prefix // invalid: take it away
	leaves []string     // what the edit takes away
}

func newSetSubnet(a *app) *cobra.Command {
	var o setSubnetOptions
	return &cobra.Command{
		Use:   "setsubnet [SERVER] CIDR|none",
		Short: "give a server its own container bridge",
		Long: `Give a server a container bridge of its own, app0: with the first address of CIDR (or
the one that CIDR names), DHCP, DNS in the domain app, and masquerading. 'none' takes
it away. Before a subnet goes, also for another one, it asks. Without SERVER it is this
workstation. Where a network shares the subnet, containers on its other members find those
here by name, c2.NETWORK.

  flock setsubnet s1 10.1.1.0/24`,
		Args:              command.Between(1, 2),
		ValidArgsFunction: a.CompleteServers(1),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(args); err != nil {
				return err
			}
			return a.setSubnet(cmd.Context(), &o)
		},
	}
}

func (o *setSubnetOptions) parse(args []string) error {
	o.server = network.Local
	if len(args) == 2 {
		o.server = args[0]
	}
	text := args[len(args)-1]
	if text == "none" {
		return nil
	}
	var err error
	if o.subnet, err = netip.ParsePrefix(text); err == nil {
		return nil
	}
	switch first, err := netip.ParsePrefix(args[0]); {
	case err == nil: // the other way round
		return command.Refuse("flock setsubnet "+text+" "+first.String(), "%q is not a subnet", text)
	case len(args) == 1 && state.CheckName("server", text) == nil:
		return command.Refuse("flock setsubnet "+text+" 10.1.1.0/24", "%q is not a subnet", text)
	}
	return command.Refuse("flock setsubnet "+o.server+" 10.1.1.0/24", "%q is not a subnet", text)
}

func (a *app) setSubnet(ctx context.Context, o *setSubnetOptions) error {
	return a.Alter(ctx, command.Alter{
		Request: change.Request{
			Edit: o.edit,
		},
		Question: func() string {
			if len(o.leaves) == 0 {
				return ""
			}
			return "remove " + view.Listed(o.leaves) + "?"
		},
		About:   []string{ground.OwnSubnet(o.server)}, // for its notes
		Already: func(out *change.Outcome) string { return "already so: " + o.said(out) },
		Said:    o.said,
	})
}

func (o *setSubnetOptions) edit(c *state.Cluster) error {
	was := c.Clone()
	err := edit.SetSubnet(c, o.server, o.subnet)
	o.leaves = edit.Leaving(was, c, nil)
	return err
}

// said is what the server has now.
func (o *setSubnetOptions) said(out *change.Outcome) string {
	if !o.subnet.IsValid() {
		return o.server + ": no container subnet"
	}
	return o.server + ": container subnet " + out.Cluster.Servers[o.server].Subnet.String()
}
