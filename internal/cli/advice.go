package cli

import (
	"slices"

	"github.com/flocknet/flock/internal/advice"
	"github.com/flocknet/flock/internal/bgpcmd"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
	"github.com/spf13/cobra"
)

// Advice checks a next: line against the commands there are and a cluster; with a nil c
// names are not checked (see advice).
func Advice(text string, c *state.Cluster) error {
	tree := func() *cobra.Command {
		return newRoot(&app{&command.App{Page: view.Page{Getenv: func(string) string { return "" }}}})
	}
	roles := append(bgpcmd.Words(), roleServer, roleClient, roleSubnet, network.Local)
	return advice.Check(tree, slices.Concat(roles, network.PoolTypes()), text, c)
}
