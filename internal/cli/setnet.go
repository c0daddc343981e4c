package cli

import (
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newSetNet(a *app) *cobra.Command {
	o := netOptions{Plug: edit.Plug{Replace: true}}
	cmd := &cobra.Command{
		Use:   "setnet [SERVER:]CONTAINER [IFACE:]BRIDGE",
		Short: "put a container's interface on another bridge, or at another address",
		Long: `Put an interface of a container, without IFACE eth0, on BRIDGE, with the addresses of --ip
or, without any, those that its DHCP client gets. One that the container does not have is
made, as addnet makes it. One that flock made stays up on its way to another bridge; another
fixed address makes it anew.

One that the container has from somebody else (LXC's eth0 on lxcbr0, Docker's on docker0)
is moved with its pair. It loses the addresses that it had there, and has a MAC of flock's; udhcpc, and
clients that watch the cable, ask for an address at once. In the configuration of an LXC
container the move stands behind its own lines, which count again after delnet.

Those of a guest of libvirt's are eth0, eth1 and so on in the order of virsh domiflist,
whatever they are called inside. One that it has keeps its MAC, and is plugged in where it was
after delnet.

  flock setnet s1:c1 vxl0
  flock setnet s1:c1 eth1:vxl0 --ip 10.0.4.200 --ip fd00:4::200`,
		Args: command.Exactly(2),
		ValidArgsFunction: a.completeNet(func(c *state.Cluster, server, container string) []string {
			var out []string
			for _, bridge := range segment.Bridges(c, server) {
				for _, iface := range interfacesOf(c, server, container) {
					out = append(out, iface+":"+bridge)
				}
				out = append(out, bridge)
			}
			return out
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parseSet(args); err != nil {
				return err
			}
			return a.attach(cmd.Context(), &o)
		},
	}
	addAddresses(cmd, &o)
	return cmd
}

// parseSet reads the words of setnet.
func (o *netOptions) parseSet(args []string) error {
	if err := o.parseTarget(args[0]); err != nil {
		return err
	}
	o.Interface, o.Bridge = "eth0", args[1]
	if iface, bridge, both := strings.Cut(args[1], ":"); both {
		o.Interface, o.Bridge = iface, bridge
	}
	if o.Interface == "" || o.Bridge == "" {
		return command.Refuse("flock setnet "+args[0]+" eth1:BRIDGE", "%q names no bridge for an interface", args[1])
	}
	return o.parseAddrs()
}

// interfacesOf are the interfaces that the file has of a container, NAME or KIND/NAME.
func interfacesOf(c *state.Cluster, server, container string) []string {
	o := edit.Plug{Container: container}
	s := c.Servers[server]
	var out []string
	for _, name := range o.Recorded(s) {
		for _, at := range s.Attached {
			if at.Container == name {
				out = append(out, at.Interface)
			}
		}
	}
	return out
}
