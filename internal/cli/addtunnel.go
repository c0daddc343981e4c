package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

type addTunnelOptions struct {
	kind, first, second string
	local, remote       command.Addr
	addresses           []string
	key, ttl            int64
	edit.TunnelOptions
}

func newAddTunnel(a *app) *cobra.Command {
	var o addTunnelOptions
	cmd := &cobra.Command{
		Use:   "addtunnel " + strings.Join(network.TunnelTypes(), "|") + " SERVER1 SERVER2",
		Short: "join two servers by a GRE or IPIP tunnel",
		Long: `Make a tunnel between two servers: a device on each, with an address. What is behind one
end is routed from the other by 'addnetwork TUNNEL subnet SERVER:CIDR...'. Nothing is
encrypted: give the ends addresses of a wireguard network with -l and -r where it must be.

gre runs over IPv4 and IPv6, carries both, and several run between two servers with a
--key each, a plain number and no secret. ipip is IPv4 in IPv4. Addresses are the next free
/30 of 10.0.6.0/24, the name TYPE-SERVER1-SERVER2; the device is called like the tunnel.
The underlay must let IP protocol 47 (gre) or 4 (ipip) pass: many clouds do not.

  flock addtunnel gre s1 s2
  flock addtunnel gre s1 s2 --name backup --key 7 -l 10.1.0.1 -r 10.1.0.2
  flock addtunnel ipip s1 s3 --addresses 192.168.7.1/30,192.168.7.2/30
  flock addtunnel gre s1 s2 -l fd99::1 -r fd99::2`,
		Args: command.Exactly(3),
		ValidArgsFunction: a.Complete(3, func(c *state.Cluster, args []string, _ string) []string {
			if len(args) == 0 {
				return network.TunnelTypes()
			}
			return c.ServerNames()
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kind, o.first, o.second = args[0], args[1], args[2]
			if err := o.parse(cmd); err != nil {
				return err
			}
			return a.addTunnel(cmd.Context(), &o)
		},
	}
	f := cmd.Flags()
	f.VarP(&o.local, "local", "l", "where the tunnel ends on SERVER1, an `IP` of its own (default: of the default route)")
	f.VarP(&o.remote, "remote", "r", "where it ends on SERVER2, an `IP` of its own")
	f.StringSliceVar(&o.addresses, "addresses", nil, "the ends' addresses in the tunnel, `A/30,B/30`; two more for IPv6")
	f.StringVar(&o.Name, "name", "", "`NAME` of the tunnel and its device (default: TYPE-SERVER1-SERVER2)")
	f.Int64Var(&o.key, "key", 0, "gre: key `N` from 1 to 4294967295, tells tunnels between two servers apart")
	f.Int64Var(&o.ttl, "ttl", 0, "TTL `N` of the outer packets (default 64)")
	return cmd
}

func (o *addTunnelOptions) parse(cmd *cobra.Command) error {
	o.Local, o.Remote = o.local.Addr, o.remote.Addr
	o.Key, o.TTL = command.Number(cmd, "key", &o.key), command.Number(cmd, "ttl", &o.ttl)
	for _, text := range o.addresses {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return command.Refuse("--addresses A/30,B/30, for example 10.0.6.1/30,10.0.6.2/30", "%q is not an address with its prefix length", text)
		}
		o.Addresses = append(o.Addresses, p)
	}
	return nil
}

func (a *app) addTunnel(ctx context.Context, o *addTunnelOptions) error {
	name := o.Name
	if name == "" {
		name = edit.TunnelName(o.kind, o.first, o.second)
	}
	return a.Alter(ctx, command.Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			return edit.AddTunnel(c, o.kind, o.first, o.second, o.TunnelOptions)
		}},
		About:   []string{name},
		Already: func(out *change.Outcome) string { return "already there: " + tunnelReady(out, name) },
		Said:    func(out *change.Outcome) string { return tunnelReady(out, name) },
	})
}

// tunnelReady describes a tunnel: which end has which address.
func tunnelReady(out *change.Outcome, name string) string {
	n := out.Cluster.Networks[name]
	var ends []string
	for _, m := range n.Members {
		ends = append(ends, ground.ServerOf(m)+" "+strings.Join(view.Texts(n.Allocated[ground.ServerOf(m)].Addrs), " "))
	}
	return fmt.Sprintf("%s: %s, ready", name, strings.Join(ends, ", "))
}

func newDelTunnel(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "deltunnel NAME",
		Short: "remove a tunnel from both its ends",
		Long: `Remove a tunnel from both servers, with the routes through it, and from the cluster file.

  flock deltunnel gre-s1-s2`,
		Args: command.Exactly(1),
		ValidArgsFunction: a.Complete(1, func(c *state.Cluster, _ []string, _ string) []string {
			return slices.DeleteFunc(c.NetworkNames(), func(name string) bool { return !network.KindOf(c.Networks[name]).Tunnel })
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Remove(cmd.Context(), args[0], edit.DelTunnel)
		},
	}
}
