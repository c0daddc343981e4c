package help

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage prints what follows a command's text: how it is called, what is below it, its flags, and
// those of the global ones that it is most about. All of these are under `flock help`.
func (w Way) usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:")
	below := cmd.HasAvailableSubCommands()
	if cmd.Runnable() && (!below || cmd.HasParent()) {
		b.WriteString("\n  " + cmd.UseLine())
	}
	if below {
		b.WriteString("\n  " + cmd.CommandPath() + " COMMAND")
		commands(&b, cmd)
	}
	if !cmd.HasParent() {
		b.WriteString("\n\nTopics, as in 'flock help vxlan':")
		for _, name := range Topics() {
			fmt.Fprintf(&b, "\n  %-*s %s", cmd.Commands()[0].NamePadding(), name, short(name))
		}
		b.WriteString("\n\nGlobal flags:\n" + flags(cmd.PersistentFlags()) + "\n")
		return write(cmd, b.String())
	}
	if cmd.HasAvailableLocalFlags() {
		b.WriteString("\n\nFlags:\n" + flags(cmd.LocalFlags()))
	}
	if global := w.global(cmd); global.HasFlags() {
		b.WriteString("\n\nGlobal flags, others are in 'flock help':\n" + flags(global) + "\n")
		return write(cmd, b.String())
	}
	b.WriteString("\n\nGlobal flags: flock help\n")
	return write(cmd, b.String())
}

func write(cmd *cobra.Command, text string) error {
	_, err := io.WriteString(cmd.OutOrStderr(), text)
	return err
}

func flags(f *pflag.FlagSet) string { return strings.TrimRight(f.FlagUsages(), " \n") }

// commands lists what is below a command, in its groups if it has some.
func commands(b *strings.Builder, cmd *cobra.Command) {
	list := func(title, group string) {
		b.WriteString("\n\n" + title)
		for _, sub := range cmd.Commands() {
			if sub.GroupID == group && (sub.IsAvailableCommand() || sub.Name() == "help") {
				fmt.Fprintf(b, "\n  %-*s %s", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if len(cmd.Groups()) == 0 {
		list("Commands:", "")
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
}

// global are the global flags to know when a command is called: which cluster it is about and, if
// it changes something, how to look first and how not to be asked.
func (w Way) global(cmd *cobra.Command) *pflag.FlagSet {
	out := pflag.NewFlagSet("", pflag.ContinueOnError)
	top := cmd
	for top.Parent().HasParent() {
		top = top.Parent()
	}
	names := []string{"cluster"}
	if top.GroupID == w.Group {
		names = nil
	}
	if w.Changes(cmd) {
		names = append(names, "dry-run", "yes")
	}
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(names, f.Name) {
			out.AddFlag(f)
		}
	})
	return out
}
