// Command pages writes what packages carry besides the program: a manual page of every
// command, completion scripts, and the licences of all that is linked.
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
	"strings"
	"time"

	"github.com/flocknet/flock/internal/cli"
	"github.com/flocknet/flock/internal/command"
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
		"bash/" + screen.Packaged:           func(root *cobra.Command, b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
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
	return manual(filepath.Join(dir, "man1"), cli.Tree(screen.Packaged))
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
	text, err := page(cmd)
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

// page is the manual page of a command. Its date is the one that all pages have, so that they
// change only where commands do.
func page(cmd *cobra.Command) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	cmd.Long = markdown(called(cmd))
	var b bytes.Buffer
	err := doc.GenMan(cmd, &doc.GenManHeader{
		Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: "1", Source: screen.Packaged, Manual: "flock", Date: &time.Time{},
	}, &b)
	return b.Bytes(), err
}

// called is the help of a command under the name that packages give to the program.
func called(cmd *cobra.Command) string {
	var b strings.Builder
	_, _ = screen.Called(&b, screen.Packaged, command.Names(cmd.Root())).Write([]byte(cmd.Long)) // a Builder takes all
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
