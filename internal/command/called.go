package command

import (
	"github.com/flocknet/flock/internal/screen"
	"github.com/spf13/cobra"
)

// AsCalled has the tree, and what is written to the screen, name the program as packages call
// it, if it was called so.
func (a *App) AsCalled(root *cobra.Command) {
	if a.Name != screen.Packaged {
		return
	}
	root.Use = a.Name
	names := Names(root)
	a.Out, a.Err = screen.Called(a.Out, a.Name, names), screen.Called(a.Err, a.Name, names)
}

// Names are those of all commands, help too.
func Names(root *cobra.Command) []string {
	names := []string{"help"}
	for _, cmd := range root.Commands() {
		names = append(names, cmd.Name())
	}
	return names
}
