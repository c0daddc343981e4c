// Command pages writes what packages carry besides the program: a manual page of every
// command and topic, completion scripts, and the licences of all that is linked.
//
//	go run ./cmd/flock/pages DIR PROGRAM...
//
// It owns the form of these files. What is in them says the tree of commands, as the help does,
// and what Go noted in the programs; the same tree and programs give the same bytes.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/help"
	"github.com/flocknet/flock/internal/screen"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: go run ./cmd/flock/pages DIR PROGRAM...")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "pages: %v\n", err)
		os.Exit(1)
	}
}

// write makes all files below dir.
func write(dir string, programs []string) error {
	notice, err := notice(programs)
	if err != nil {
		return err
	}
	for name, text := range map[string]func(*cobra.Command, *bytes.Buffer) error{
		"bash/" + screen.Packaged:           func(root *cobra.Command, b *bytes.Buffer) error { return cli.BashCompletion(root, b) },
		"zsh/_" + screen.Packaged:           func(root *cobra.Command, b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"fish/" + screen.Packaged + ".fish": func(root *cobra.Command, b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
		"NOTICE":                            func(_ *cobra.Command, b *bytes.Buffer) error { b.WriteString(notice); return nil },
	} {
		var b bytes.Buffer
		if err := text(cli.Tree(screen.Packaged), &b); err != nil {
			return err
		}
		if err := save(filepath.Join(dir, name), b.Bytes()); err != nil {
			return err
		}
	}
	root := cli.Tree(screen.Packaged)
	if err := topics(filepath.Join(dir, "man7"), root); err != nil {
		return err
	}
	return manual(filepath.Join(dir, "man1"), root)
}

func save(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // for everybody
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // for everybody
}

// manual writes a page of every command that help shows.
func manual(dir string, cmd *cobra.Command) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return nil
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	cmd.Long = called(cmd.Root(), cmd.Long)
	text, err := page(cmd, "1")
	if err != nil {
		return fmt.Errorf("page of %s: %w", cmd.CommandPath(), err)
	}
	if err := save(filepath.Join(dir, name+".1"), text); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if err := manual(dir, sub); err != nil {
			return err
		}
	}
	return nil
}

// topics writes a page, in section 7, of every topic that `flock help` has, and adds their names
// to the help of root.
func topics(dir string, root *cobra.Command) error {
	var names []string
	for _, topic := range help.Topics() {
		name := screen.Packaged + "-" + topic
		text := help.Topic(root, topic)
		head, text, found := strings.Cut(text, "\n\n")
		if !found {
			return fmt.Errorf("topic %s has no text", topic)
		}
		cmd := &cobra.Command{Use: name, Short: strings.TrimPrefix(head, topic+": "), Long: called(root, text), Run: func(*cobra.Command, []string) {}}
		written, err := page(cmd, "7")
		if err != nil {
			return fmt.Errorf("page of topic %s: %w", topic, err)
		}
		// Nothing is typed to call a topic, and it takes no flags.
		before, rest, _ := bytes.Cut(written, []byte(".SH SYNOPSIS\n"))
		_, rest, _ = bytes.Cut(rest, []byte(".SH DESCRIPTION\n"))
		rest, _, _ = bytes.Cut(rest, []byte(".SH OPTIONS\n"))
		also := fmt.Sprintf(".SH SEE ALSO\n\\fB%s(1)\\fP, \\fB%[1]s-createnetwork(1)\\fP\n", screen.Packaged)
		if err := save(filepath.Join(dir, name+".7"), slices.Concat(before, []byte(".SH DESCRIPTION\n"), rest, []byte(also))); err != nil {
			return err
		}
		names = append(names, name+"(7)")
	}
	root.Long += "\n\nTopics: " + strings.Join(names, ", ") + "."
	return nil
}

// page is the manual page of a command. Its date is $SOURCE_DATE_EPOCH.
func page(cmd *cobra.Command, section string) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	cmd.Long = markdown(cmd.Long)
	var b bytes.Buffer
	err := doc.GenMan(cmd, &doc.GenManHeader{
		Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: section, Source: screen.Packaged, Manual: "flock",
	}, &b)
	return b.Bytes(), err
}

// called is a help text under the name that packages give to the program.
func called(root *cobra.Command, text string) string {
	var b strings.Builder
	_, _ = screen.Called(&b, screen.Packaged, command.Names(root)).Write([]byte(text)) // a Builder takes all
	return b.String()
}

// markdown is a help text as cobra's generator reads it: what is indented stays as it is, and
// no character has a meaning.
func markdown(help string) string {
	var b strings.Builder
	within := false
	for line := range strings.Lines(help) {
		indented := strings.HasPrefix(line, "  ")
		if indented && !within {
			b.WriteByte('\n')
		}
		switch blank := strings.TrimSpace(line) == ""; {
		case indented:
			b.WriteString("    " + line)
			within = true
		case blank && within:
			b.WriteString(line)
		default:
			if within {
				b.WriteByte('\n')
			}
			within = false
			b.WriteString(escape.Replace(line))
		}
	}
	return b.String()
}

var escape = strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "`", "\\`", "<", "\\<", "[", "\\[", "]", "\\]", "#", "\\#")
