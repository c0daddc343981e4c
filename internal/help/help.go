// Package help owns `flock help`: how the help of a command is laid out, which global flags it
// names, and the pages about kinds of network and other topics, with the flags that the tree of
// commands and the table of options say. What a command is for is the command's own text.
//
// It is given the tree of commands and prints; it runs nothing, and knows no type of network.
package help

import (
	"bytes"
	"io"
	"slices"

	"github.com/flocknet/flock/internal/screen"
	"github.com/spf13/cobra"
)

// Way is what the command line gives to help.
type Way struct {
	Group   string               // of the help command itself; commands there and below know no cluster
	None    cobra.PositionalArgs // refuses words that are no command
	Width   func() int           // of the terminal; 0: lines stay as they are
	Changes func(*cobra.Command) bool
}

// Add gives root its help.
func Add(root *cobra.Command, w Way) {
	root.SetUsageFunc(w.usage)
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		w.folded(cmd, func() { show(cmd, args) })
	})
	root.SetHelpCommand(w.command())
}

// folded fits what is shown for cmd to the width of the terminal.
func (w Way) folded(cmd *cobra.Command, show func()) {
	width := w.Width()
	if width == 0 {
		show()
		return
	}
	var text bytes.Buffer
	out := cmd.OutOrStdout()
	cmd.SetOut(&text)
	show()
	cmd.SetOut(out)
	_, _ = io.WriteString(out, screen.FoldText(text.String(), width)) // as cobra: nobody is left to be told
}

// command is cobra's help command, but for words that are no command: cobra's prints
// everything, this one shows the topic, or refuses them.
func (w Way) command() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND|TOPIC]",
		Short:             "print help on a command, or on a topic",
		Long:              "Print help on a command, or on a topic: a type of network, or what many commands have in common.\n'flock help' lists both.\n\n  flock help addnetwork\n  flock help vxlan",
		GroupID:           w.Group,
		ValidArgsFunction: complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			at, rest, _ := root.Find(args) // what it cannot find is in rest
			topic := ""
			if len(args) == 1 {
				topic = Topic(root, args[0])
			}
			switch {
			case len(rest) > 0 && topic == "":
				return w.None(at, rest)
			case len(rest) == 0:
				if err := at.Help(); err != nil {
					return err
				}
				if len(args) > 0 && topic != "" {
					topic = "\n" + topic
				}
			}
			w.folded(root, func() { _, _ = io.WriteString(root.OutOrStdout(), topic) })
			return nil
		},
	}
}

// complete offers commands, and topics for the first word.
func complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	at, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, sub := range at.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if len(args) == 0 {
		names = append(names, Topics()...)
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}
