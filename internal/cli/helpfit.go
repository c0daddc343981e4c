package cli

import (
	"bytes"
	"io"

	"github.com/flocknet/flock/internal/screen"
	"github.com/spf13/cobra"
)

// foldHelp fits the help of root's commands to the width of the terminal.
func (a *app) foldHelp(root *cobra.Command) {
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		width := a.TableWidth()
		if width == 0 {
			show(cmd, args)
			return
		}
		var text bytes.Buffer
		out := cmd.OutOrStdout()
		cmd.SetOut(&text)
		show(cmd, args)
		cmd.SetOut(out)
		_, _ = io.WriteString(out, screen.FoldText(text.String(), width)) // as cobra: nobody is left to be told
	})
}
