package cli

import (
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newAddNet(a *app) *cobra.Command {
	var o netOptions
	cmd := &cobra.Command{
		Use:   "addnet [SERVER:]CONTAINER [IFACE[:BRIDGE]]",
		Short: "give a container an interface on a network's bridge",
		Long: `Give a container one more interface: IFACE, without it the next that is free (eth1, eth2),
on BRIDGE, without it the only one that flock has on the server. Where there are several,
it is on none until setnet says which. A container is one of LXC, Docker or root's
Podman, a named network namespace (ip netns), or a guest of libvirt's, NAME or, where there are
several of that name, lxc/NAME, docker/NAME, podman/NAME, netns/NAME, libvirt/NAME; with its
kind it need not be there yet. Without SERVER it is on this workstation.

The interface comes again whenever the container does, and after a reboot: LXC has it in the
container's configuration, and gives it to one that is stopped when it starts. Its MAC stays
the same. With --ip it has that address, and a default route by the bridge's gateway unless the
container has one. Containers of Docker and Podman have no DHCP client: without --ip they are
dealt an IPv4 address. DNS answers for the container's name.

A guest has its interface at once, or from its next start if it is shut off; libvirt keeps it.
IFACE is what flock calls it, the guest knows it by its MAC; --ip is what DHCP gives it.

  flock addnet s1:c1 eth1:vxl0
  flock addnet s1:c1 eth1:vxl0 --ip 10.0.4.200`,
		Args: command.Between(1, 2),
		ValidArgsFunction: a.completeNet(func(c *state.Cluster, server, _ string) []string {
			var out []string
			for _, bridge := range segment.Bridges(c, server) {
				out = append(out, "eth1:"+bridge)
			}
			return out
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parseAdd(args); err != nil {
				return err
			}
			c, err := a.Load(cmd.Context())
			if err != nil {
				return err
			}
			if o.Bridge == "" && slices.Contains(segment.Bridges(c, o.Server), o.Interface) {
				return command.Refuse("flock addnet "+args[0]+" :"+o.Interface, "%s is a bridge, not the name of an interface", o.Interface)
			}
			return a.attach(cmd.Context(), &o)
		},
	}
	addAddresses(cmd, &o)
	return cmd
}

// parseAdd reads the words of addnet.
func (o *netOptions) parseAdd(args []string) error {
	if err := o.parseTarget(args[0]); err != nil {
		return err
	}
	if len(args) > 1 {
		var both bool
		o.Interface, o.Bridge, both = strings.Cut(args[1], ":")
		if args[1] == "" || both && o.Bridge == "" {
			return command.Refuse("flock addnet "+args[0]+" eth1:BRIDGE", "%q names no interface on a bridge", args[1])
		}
	}
	return o.parseAddrs()
}
