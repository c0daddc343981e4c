package cli

import (
	"errors"
	"slices"

	"github.com/flocknet/flock/internal/advice"
	"github.com/flocknet/flock/internal/bgpcmd"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// bareTree makes the commands anew, without a workstation around them.
func bareTree() *cobra.Command {
	return newRoot(&app{&command.App{Page: view.Page{Getenv: func(string) string { return "" }}}})
}

// Advised checks a next: line that the command called with args has said: as Advice, and
// against that command's own options.
func Advised(text string, args []string, c *state.Cluster) error {
	return errors.Join(Advice(text, c), advice.CheckOptions(bareTree, text, args))
}

// Advice checks a next: line against the commands there are and a cluster; with a nil c
// names are not checked (see advice).
func Advice(text string, c *state.Cluster) error {
	roles := append(bgpcmd.Words(), roleServer, roleClient, roleSubnet, network.Local)
	return advice.Check(bareTree, slices.Concat(roles, network.PoolTypes()), text, c)
}

// Changes says whether the command that args call changes something, and so has a dry run.
func Changes(args []string) bool {
	cmd, _, err := bareTree().Find(args)
	return err == nil && command.Changes(cmd)
}
