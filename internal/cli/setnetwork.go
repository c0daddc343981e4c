package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

type setNetworkOptions struct {
	ends addTunnelOptions
	edit.Change
}

func newSetNetwork(a *app) *cobra.Command {
	var o setNetworkOptions
	var given func() (option.Options, error)
	cmd := &cobra.Command{
		Use:   "setnetwork NAME [subnet SERVER:CIDR...]",
		Short: "change options of a network in place",
		Long: `Change options of a network, a BGP network or a tunnel: all that createnetwork, createbgp or
addtunnel takes for its type, as one change that is planned, and undone where it cuts a
server off. What is not given stays; --unset gives an option the value that it has when
nothing is said of it. Members keep their numbers, keys, addresses and subnets wherever the
network still has these.

Another MTU, domain, DHCP server (with its leases), masquerading, --isolate, keepalive, topology, VNI, VXLAN
port, group, interface, hold time, mode or TTL takes no connection away: where packets between members take
another path, all make it ready before one turns. With another port of WireGuard or of udp, another interface of
ipip or udp, another key or end (-l, -r) of a tunnel, or --gbp with the same port, packets between members are
lost until all have changed, some 10 to 50 ms. Another subnet or bridge is asked about: containers keep
addresses of the old subnet until they ask for new ones, and what is plugged into the old bridge loses it. -s
with all subnets, old and new, adds one of the other family; --add-pool gives pool networks that are full
another pool; 'subnet SERVER:CIDR' gives a member another subnet. With --rename, which stands alone, units,
files and devices that bear the network's name follow; MAC addresses, keys and leases stay. Kernels before 6.2
rename no device that is up: there it is made anew.

  flock setnetwork vx1 --mtu 1400
  flock setnetwork vx1 -n s2 --no-masquerade=false
  flock setnetwork vx1 -s 10.0.4.0/24 -s fd00:4::/64 --dry-run
  flock setnetwork wirex --unset keepalive
  flock setnetwork n1 --add-pool 10.245.0.0/16
  flock setnetwork n1 subnet s2:10.244.9.0/24
  flock setnetwork bnet --hold 30
  flock setnetwork vx1 --rename app
  flock setnetwork gre-s1-s2 --ttl 32 -l 10.1.0.1`,
		Args: command.AtLeast(1),
		ValidArgsFunction: a.Complete(2, func(c *state.Cluster, args []string, _ string) []string {
			if len(args) == 0 {
				return c.NetworkNames()
			}
			if n := c.Networks[args[0]]; n != nil && network.KindOf(n).Pooled() {
				return []string{roleSubnet}
			}
			return nil
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.read(cmd, args, given); err != nil {
				return err
			}
			return a.setNetwork(cmd.Context(), args[0], o.Change)
		},
	}
	given = a.addOptions(cmd, func(o *option.Option) string { return cmp.Or(o.Help, o.Set) })
	f := cmd.Flags()
	f.StringSliceVar(&o.Unset, "unset", nil, "give `OPTION` the value that it has by itself (mtu, keepalive, group …); repeatable")
	f.StringVar(&o.Rename, "rename", "", "give the network another `NAME`")
	f.VarP(&o.ends.local, "local", "l", "tunnels: where it ends on the first server, an `IP` of its own")
	f.VarP(&o.ends.remote, "remote", "r", "tunnels: where it ends on the second server, an `IP` of its own")
	f.StringSliceVar(&o.ends.addresses, "addresses", nil, "tunnels: the ends' addresses inside, `A/30,B/30`; two more for IPv6")
	command.CompleteFlag(cmd, "unset", a.completeSettable)
	return cmd
}

// read takes in flags and words.
func (o *setNetworkOptions) read(cmd *cobra.Command, args []string, given func() (option.Options, error)) error {
	options, err := given()
	if err != nil {
		return err
	}
	if err := o.ends.parse(cmd); err != nil {
		return err
	}
	o.Given, o.Ends = options, o.ends.TunnelOptions
	switch {
	case len(args) == 1:
	case args[1] != roleSubnet:
		return command.Refuse("flock setnetwork "+args[0]+" subnet SERVER:CIDR, or a flag", "setnetwork: unexpected word %q", args[1])
	case len(args) == 2:
		return command.Refuse("flock setnetwork "+args[0]+" subnet SERVER:CIDR", "setnetwork: nothing follows %q", roleSubnet)
	default:
		o.Subnets = args[2:]
	}
	return nil
}

// completeSettable offers the options of the network that was named.
func (a *app) completeSettable(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	return a.Complete(1<<30, func(c *state.Cluster, args []string, _ string) []string {
		if len(args) == 0 || c.Networks[args[0]] == nil {
			return nil
		}
		kind := network.KindOf(c.Networks[args[0]])
		if kind.Tunnel {
			return append(kind.Options(), "local", "remote")
		}
		return kind.Options()
	})(cmd, args, text)
}

func (a *app) setNetwork(ctx context.Context, name string, o edit.Change) error {
	var gone []string
	to := cmp.Or(o.Rename, name)
	alter := command.Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			var err error
			gone, err = o.Apply(c, name)
			return err
		}},
		Question: func() string {
			if len(gone) == 0 {
				return ""
			}
			return fmt.Sprintf("take %s from %s?", strings.Join(gone, " and "), name)
		},
		Already: func(out *change.Outcome) string {
			return to + " is so already: " + command.Outline(out.Cluster.Networks[to])
		},
		About: []string{to},
		Would: func(out *change.Outcome) string {
			return to + " would be " + command.Outline(out.Cluster.Networks[to])
		},
		Said: func(out *change.Outcome) string {
			return command.Ready(out, to) + ": " + command.Outline(out.Cluster.Networks[to])
		},
	}
	// Sessions of BGP are awaited; a file that cannot be read is told by the change.
	if c, err := a.Load(ctx); err == nil && slices.Contains(network.BGPNetworks(c), name) {
		alter.Await = &change.Await{Networks: []string{to}}
	}
	return a.Alter(ctx, alter)
}
