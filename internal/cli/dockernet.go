package cli

import (
	"math"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDockerNet(a *app) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "dockernet NETWORK [SERVER]...",
		Short: "make a network one of Docker's and Podman's too",
		Long: `Make a layer 2 network a docker network (and Podman's) of the same name on the named
members, which must have Docker or Podman, or on all members that do, those to come too.
Then 'docker run --network NETWORK' and compose files with 'external: true' work there, and
containers reach each other across servers, by address and by name.

Each member hands out addresses of a range of its own, the lower half by Docker, the upper
half by Podman, which it is dealt once, and which DHCP and --ip leave alone. The gateway is the
member's own address, masquerade is the network's, not Docker's. Names, NAME and NAME.DOMAIN,
and compose's service names are answered by the network's DNS, which needs dnsmasq there.

--remove ends it on the named members, or everywhere. A removal, or a change of the network's
subnet, MTU, bridge or name, is refused while containers hang on it, running or not.

  flock dockernet vx1
  flock dockernet vx1 s1 s2
  flock dockernet vx1 s2 --remove`,
		Args: command.AtLeast(1),
		ValidArgsFunction: a.Complete(math.MaxInt, func(c *state.Cluster, args []string, _ string) []string {
			if len(args) == 0 {
				return c.NetworkNames()
			}
			return membersOf(c.Networks[args[0]])
		}),
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, servers := args[0], args[1:]
			where := "all members"
			if len(servers) > 0 {
				where = strings.Join(servers, ", ")
			}
			is, wanted := "is a network of Docker's and Podman's on "+where, edit.AddDocker
			if remove {
				is, wanted = "is no network of Docker's and Podman's on "+where, edit.DelDocker
			}
			return a.Alter(cmd.Context(), command.Alter{
				Request: change.Request{Edit: func(c *state.Cluster) error { return wanted(c, name, servers) }},
				Already: func(*change.Outcome) string { return "already so: " + name + " " + is },
				About:   []string{name},
				Said:    func(*change.Outcome) string { return name + " " + is },
			})
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "end it, on the named members or everywhere")
	return cmd
}
