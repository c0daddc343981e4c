package cli

import (
	"context"
	"net/netip"
	"slices"

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
	subnet netip.Prefix // invalid: take it away, or with adopt the one that the server has
	adopt  string       // the bridge of another program that is to have it
	leaves []string     // what the edit takes away
	takes  bool         // adopt gets what it did not have
}

func newSetSubnet(a *app) *cobra.Command {
	var o setSubnetOptions
	cmd := &cobra.Command{
		Use:   "setsubnet [SERVER] [CIDR|none]",
		Short: "give a server its own container bridge",
		Long: `Give a server a container bridge of its own, app0: with the first address of CIDR (or
the one that CIDR names), DHCP, DNS in the domain app, and masquerading. 'none' takes
it away. Before a subnet goes, also for another one, it asks. Without SERVER it is this
workstation. Where a network shares the subnet, containers on its other members find those
here by name, c2.NETWORK.

With --adopt there is no app0: the bridge that LXC (lxcbr0), Docker (docker0) or libvirt (virbr0)
makes by itself has the subnet, by the configuration of that program, which keeps handing out
its addresses. CIDR can be left away where the server has a subnet. It asks, for the bridge is
made anew; while containers hang on it, it is refused. Without --adopt, or with 'none', the
bridge gets back what it had; those that keep their subnets beside app0 are named.

  flock setsubnet s1 10.1.1.0/24
  flock setsubnet s1 10.1.1.0/24 --adopt lxcbr0`,
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
	cmd.Flags().StringVar(&o.adopt, "adopt", "", "the subnet is that of `BRIDGE`, by its own program: lxcbr0, docker0, virbr0")
	_ = cmd.RegisterFlagCompletionFunc("adopt", cobra.FixedCompletions(network.Adoptable(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *setSubnetOptions) parse(args []string) error {
	o.server = network.Local
	if len(args) == 2 {
		o.server = args[0]
	}
	text := args[len(args)-1]
	if text == "none" {
		if o.adopt != "" {
			return command.Refuse("flock setsubnet "+o.server+" none", "a bridge that is adopted has a subnet")
		}
		return nil
	}
	var err error
	if o.subnet, err = netip.ParsePrefix(text); err == nil {
		return nil
	}
	switch first, err := netip.ParsePrefix(args[0]); {
	case err == nil: // the other way round
		return command.Refuse("flock setsubnet "+text+" "+first.String(), "%q is not a subnet", text)
	case len(args) == 1 && o.adopt != "" && state.CheckName("server", text) == nil:
		o.server = text
		return nil
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
			switch {
			case o.takes && len(o.leaves) == 0:
				return "give " + o.adopt + " of " + o.server + " another subnet?"
			case o.takes:
				return "remove " + view.Listed(o.leaves) + ", and give " + o.adopt + " another subnet?"
			case len(o.leaves) > 0:
				return "remove " + view.Listed(o.leaves) + "?"
			}
			return ""
		},
		About:   []string{ground.OwnSubnet(o.server)}, // for its notes
		Already: func(out *change.Outcome) string { return "already so: " + o.said(out) },
		Said:    o.said,
	})
}

func (o *setSubnetOptions) edit(c *state.Cluster) error {
	was := c.Clone()
	subnet, before := o.subnet, was.Servers[o.server]
	if !subnet.IsValid() && o.adopt != "" && before != nil {
		subnet = before.Subnet
	}
	err := edit.Adopt(c, o.server, subnet, o.adopt)
	o.leaves = edit.Leaving(was, c, nil)
	o.takes = o.adopt != "" && err == nil && (before.Adopt != o.adopt || before.Subnet != c.Servers[o.server].Subnet)
	return err
}

// said is what the server has now.
func (o *setSubnetOptions) said(out *change.Outcome) string {
	if !o.subnet.IsValid() && o.adopt == "" {
		return o.server + ": no container subnet"
	}
	s := out.Cluster.Servers[o.server]
	if s.Adopt != "" {
		return o.server + ": container subnet " + s.Subnet.String() + " on " + s.Adopt
	}
	return o.server + ": container subnet " + s.Subnet.String() + o.apart(out)
}

// apart names the bridges of LXC, Docker and libvirt that keep subnets of their own, and which other
// servers have the same ones.
func (o *setSubnetOptions) apart(out *change.Outcome) string {
	var list []string
	for _, s := range out.Servers {
		for i := 0; s.Name == o.server && s.Plan != nil && i < len(s.Plan.Own); i++ {
			a := s.Plan.Own[i]
			if !slices.Contains(network.Adoptable(), a.Link) || !a.Prefix.IsValid() {
				continue // somebody made that up
			}
			text := a.Link + " " + a.Prefix.Masked().String()
			var alike []string
			for _, name := range out.Cluster.ServerNames() {
				if f := out.Cluster.Servers[name].Facts; name != o.server && f != nil && slices.Contains(f.Local, a.Prefix.Masked()) {
					alike = append(alike, name)
				}
			}
			if len(alike) > 0 {
				text += " (as on " + view.Listed(alike) + ")"
			}
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "; apart from it are " + view.Listed(list)
}
