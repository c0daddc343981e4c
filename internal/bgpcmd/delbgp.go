package bgpcmd

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newDelBGP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "delbgp NAME server|network|reflector|external ...",
		Short: "take members, subnets, reflectors or routers out of a BGP network",
		Long: `Take out of a BGP network:

  server SERVER...         members, with their shared subnets and routers; remove the last
                           reflectors as reflectors first
  network SERVER:CIDR...   shared subnets: the routes to them are removed everywhere
  reflector SERVER...      reflectors, which stay members; without any, the network
                           is a full mesh again, and no route is lost meanwhile
  external SERVER PEERIP   a router that a member has a session with

  flock delbgp bnet network s3:10.0.12.0/24
  flock delbgp bnet server s3`,
		Args:              command.AtLeast(2),
		ValidArgsFunction: a.completeBGP(true),
		Annotations:       command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := deletingBGP(args, a.knows(cmd.Context()))
			if err != nil {
				return err
			}
			name := args[0]
			return a.alterBGP(cmd.Context(), name, command.Alter{
				Request:  change.Request{Edit: wanted},
				Question: func() string { return fmt.Sprintf("remove %s from %s?", strings.Join(args[1:], " "), name) },
				Already:  command.AlreadyGone(strings.Join(args[1:], " "), name),
				Said:     func(out *change.Outcome) string { return command.Ready(out, name) },
			})
		},
	}
}

// deletingBGP is the edit that the words of delbgp ask for.
func deletingBGP(args []string, known func(string) bool) (func(*state.Cluster) error, error) {
	name, what, rest := args[0], args[1], args[2:]
	if what == bgpExternal {
		server, address, err := externalNamed("delbgp", name, rest)
		return func(c *state.Cluster) error { return edit.DelExternal(c, name, server, address) }, err
	}
	wanted := map[string]func(*state.Cluster, string, []string) error{
		bgpServer: edit.LeaveBGP, bgpPeer: edit.LeaveBGP, bgpNetwork: edit.UnshareBGP, bgpReflector: edit.DelReflectors,
	}[what]
	switch {
	case wanted == nil:
		return nil, command.Refuse("flock delbgp "+name+" server "+meant(args[1:], known), "delbgp: say what is taken out: server, network, reflector or external, not %q", what)
	case len(rest) == 0:
		return nil, command.Refuse("flock delbgp "+name+" "+what+" "+bgpForm(what), "delbgp: nothing follows %q", what)
	}
	return func(c *state.Cluster) error { return wanted(c, name, rest) }, nil
}
