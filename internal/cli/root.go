package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/bgpcmd"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/help"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/labcmd"
	"github.com/flocknet/flock/internal/lookcmd"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/sshcmd"
	"github.com/spf13/cobra"
)

// Groups of commands in `flock help`.
const (
	groupServers  = "servers"
	groupNetworks = "networks"
	groupBGP      = "bgp"
	groupNets     = "containers"
	groupLooking  = "looking"
	groupChanging = "changing"
	groupMore     = "more"
)

const rootHelp = `flock keeps the networks of a cluster of Linux servers in one file on your
workstation and makes the servers look like it, over SSH.

  flock addserver s1 root@10.99.0.1
  flock addserver s2 root@10.99.0.2
  flock createnetwork vx1 vxlan
  flock addnetwork vx1 s1 s2
  flock listnetworks

%sExit status: 0 done, nothing pending; 1 failed, nothing changed anywhere; 2 bad usage
or bad value, nothing contacted; 3 some servers did not converge, 'flock apply'
finishes it; 4 drift or pending changes found (status, plan).`

const handedOverHelp = `A call that begins with an option of util-linux's flock(1), the file lock, with a path
or a descriptor's number, as in 'flock -n lock cmd' and 'flock /tmp/lock cmd', is handed
to that.

`

// longHelp is the root's help. What packages call the program is nobody else's name.
func (a *app) longHelp() string {
	if a.Name == screen.Packaged {
		return fmt.Sprintf(rootHelp, "")
	}
	return fmt.Sprintf(rootHelp, handedOverHelp)
}

func newRoot(a *app) *cobra.Command {
	asked := false // for the version
	root := &cobra.Command{
		Use:                        "flock",
		Short:                      "networks between Linux servers, from one file, over SSH",
		Long:                       a.longHelp(),
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked {
				return a.printVersion()
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.CheckGlobals(cmd) },
	}
	a.AddGlobals(root.PersistentFlags())
	command.CompleteFlag(root, "output", command.CompleteForms)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		what, _, _ := strings.Cut(err.Error(), ": strconv.") // Go's own words help nobody
		_, next := hint.Of(err)
		return command.Refuse(cmp.Or(next, cmd.CommandPath()+" --help"), "%s", what)
	})
	help.Add(root, help.Way{Group: groupMore, None: noCommand, Width: a.TableWidth, Changes: command.Changes})
	root.CompletionOptions.DisableDefaultCmd = true
	root.Flags().BoolVar(&asked, "version", false, "print the version")
	a.addCommands(root)
	return root
}

// addCommands adds every command, in the groups that `flock help` shows.
func (a *app) addCommands(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupServers, Title: "Servers:"},
		&cobra.Group{ID: groupNetworks, Title: "Networks:"},
		&cobra.Group{ID: groupBGP, Title: "BGP:"},
		&cobra.Group{ID: groupNets, Title: "Containers:"},
		&cobra.Group{ID: groupLooking, Title: "Looking and proving:"},
		&cobra.Group{ID: groupChanging, Title: "Changing and undoing:"},
		&cobra.Group{ID: groupMore, Title: "More:"},
	)
	in := func(group string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	in(groupServers, newAddServer(a), newSetServer(a), newDelServer(a), newListServers(a), newSetSubnet(a))
	in(groupServers, sshcmd.Commands(a.App)...)
	in(groupNetworks, newCreateNetwork(a), newAddNetwork(a), newDelNetwork(a), newRemoveNetwork(a), newListNetworks(a), newSetNetwork(a), newChangeType(a), newRotateKeys(a), newAddTunnel(a), newDelTunnel(a))
	in(groupBGP, bgpcmd.Commands(a.App)...)
	in(groupNets, newListNet(a), newAddNet(a), newSetNet(a), newDelNet(a), newDockerNet(a))
	in(groupLooking, newStatus(a))
	in(groupLooking, lookcmd.Commands(a.App)...)
	in(groupLooking, newGraph(a), newExplain(a))
	in(groupChanging, newPlan(a), newApply(a), newHistory(a), newDiff(a), newRollback(a), newPurge(a))
	in(groupChanging, newExport(a), newImport(a), newPull(a))
	in(groupMore, newVersion(a), newCompletion(a))
	in(groupMore, a.newLab())
}

// noCommand refuses words after a command that has only subcommands.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	next := cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		next = "did you mean: " + cmd.CommandPath() + " " + strings.Join(near, " or "+cmd.CommandPath()+" ")
	}
	return command.Refuse(next, "unknown command %q", args[0])
}

// newLab makes the commands of the lab.
func (a *app) newLab() *cobra.Command {
	return labcmd.New(labcmd.Line{
		Page: &a.Page, Args: command.Between, None: noCommand, Refuse: command.Refuse,
		Exit: func(status int) error { return command.Exit(status) },
		Words: func(cmd *cobra.Command, flag string, w ...string) {
			command.CompleteFlag(cmd, flag, command.CompleteWords(w...))
		},
	})
}
