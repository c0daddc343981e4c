package cli

import (
	"context"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

// Roles in a wireguard network, and the word for subnets behind members. No server can
// have such a name.
const (
	roleServer = "server"
	roleClient = "client"
	roleSubnet = "subnet"
)

func newAddNetwork(a *app) *cobra.Command {
	var force, moving bool
	cmd := &cobra.Command{
		Use:   "addnetwork NAME [server|client|subnet] MEMBER...",
		Short: "make servers members of a network",
		Long: `Make servers members of a network. A member is SERVER, SERVER:INTERFACE or SERVER:IP:
the underlay interface or address that the network uses there (default: that of the
default route); IPv6 addresses in brackets, s1:[fd00::1]. 'local' is this workstation.

Members of a wireguard network have roles: first the one lead server (the hub of a hub,
and where servers behind NAT meet), then clients; 'subnet SERVER:CIDR...' shares container
subnets behind members with all others, and those behind the ends of a tunnel with each
other.

Every member of a pool network (host-gw, vxlan-l3 …) gets the next free subnet of the
pool, or joins with the one in 'subnet SERVER:CIDR...'. For a server that is a member
already, that subnet is announced besides its own.

All servers concerned check the plan first; if one refuses, none is changed. A server that
cannot be reached stays pending in the file: 'flock apply' finishes it.

  flock addnetwork vx1 s1 s2
  flock addnetwork vx1 s3:eth1 --dry-run
  flock addnetwork br1 s1:eth1 --move-addresses
  flock addnetwork wirex server s1
  flock addnetwork wirex client s2 s3
  flock addnetwork wirex subnet s1:10.0.10.0/24 s2:10.0.11.0/24
  flock addnetwork gre-s1-s2 subnet s1:10.0.10.0/24 s2:10.0.11.0/24
  flock addnetwork n1 subnet s4:10.244.7.0/24`,
		Args:              command.AtLeast(2),
		ValidArgsFunction: a.completeMembership(false),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := joining(args, force)
			if moving && err == nil {
				wanted, err = joiningMoving(args)
			}
			if err != nil {
				return err
			}
			return a.addNetwork(cmd.Context(), args[0], members(args[1:]), wanted)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "subnet: "+command.ForceShare)
	cmd.Flags().BoolVar(&moving, "move-addresses", false, "bridge: the interface's addresses and routes move to the bridge")
	return cmd
}

// joining is the edit that the words of addnetwork ask for.
func joining(args []string, force bool) (func(*state.Cluster) error, error) {
	name, role, rest := args[0], args[1], args[2:]
	if len(rest) == 0 && isRole(role) {
		return nil, command.Refuse("flock addnetwork "+name+" "+role+" "+roleForm(role), "addnetwork: nothing follows %q", role)
	}
	if force && role != roleSubnet {
		return nil, command.Refuse("flock addnetwork "+name+" subnet SERVER:CIDR --force", "addnetwork: --force belongs to subnet")
	}
	switch role {
	case roleServer:
		if len(rest) > 1 {
			return nil, command.Refuse("flock addnetwork "+name+" server "+rest[0], "addnetwork: %q is one word too many, a network has one lead server", rest[1])
		}
		return func(c *state.Cluster) error { return edit.JoinLead(c, name, rest[0]) }, nil
	case roleClient:
		return func(c *state.Cluster) error { return edit.JoinClients(c, name, rest) }, nil
	case roleSubnet:
		return func(c *state.Cluster) error { return edit.AddShares(c, name, rest, force) }, nil
	}
	return func(c *state.Cluster) error { return edit.Join(c, name, args[1:]) }, nil
}

func joiningMoving(args []string) (func(*state.Cluster) error, error) {
	if isRole(args[1]) {
		return nil, command.Refuse("leave --move-addresses away", "addnetwork: --move-addresses belongs to members of bridge networks")
	}
	return func(c *state.Cluster) error { return edit.JoinMoving(c, args[0], args[1:]) }, nil
}

func isRole(word string) bool { return word == roleServer || word == roleClient || word == roleSubnet }

// roleForm is the syntax of what follows a role.
func roleForm(role string) string {
	switch role {
	case roleServer:
		return "MEMBER"
	case roleClient:
		return "MEMBER..."
	}
	return "SERVER:CIDR..."
}

// members are the words of addnetwork behind the role.
func members(words []string) []string {
	if isRole(words[0]) {
		return words[1:]
	}
	return words
}

func (a *app) addNetwork(ctx context.Context, name string, what []string, wanted func(*state.Cluster) error) error {
	return a.Alter(ctx, command.Alter{
		Request: change.Request{Edit: wanted},
		Already: command.AlreadyThere(what, name),
		About:   []string{name},
		Said:    func(out *change.Outcome) string { return command.Ready(out, name) },
	})
}
