// Package advice owns how a next: line is read: which commands of flock are in it, whether
// they parse, and whether they name what there is. The tests hold against it what walks and
// goldens print.
//
// It runs nothing: it is given the tree of commands, and asks that.
package advice

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/handover"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Check checks a next: line against the commands there are and a cluster: every flock
// command in it must parse, and name servers and networks of c, or placeholders in
// capitals (SERVER, NAME, N). A command begins with the word flock and ends before ", ",
// "; ", " or ", ")" or at the end. With a nil c names are not checked. The error says
// which command is wrong and why.
//
// Tree makes the commands anew: what is parsed stays in their flags. May are the words
// that may stand where a name would.
func Check(tree func() *cobra.Command, may []string, text string, c *state.Cluster) error {
	bare := strings.HasPrefix(text, "did you mean: ") // commands that take words
	for _, command := range commandsIn(text) {
		typed, err := shellWords(command)
		if err == nil && bare && len(typed) == 2 {
			typed = append(typed, "--help")
		}
		if err == nil {
			err = checkCommand(tree(), may, typed[1:], c)
		}
		if err != nil {
			return fmt.Errorf("%q in %q: %w", command, text, err)
		}
	}
	return nil
}

var (
	commandStart = regexp.MustCompile(`(^|[^\w/.-])flock `)
	commandEnd   = regexp.MustCompile(`, |; | or |\)|: |$`)
	placeholder  = regexp.MustCompile(`^[\[(]?[^a-z]*[A-Z][^a-z]*$`)
	lowerName    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
)

// commandsIn are the flock commands in text.
func commandsIn(text string) []string {
	var out []string
	for _, at := range commandStart.FindAllStringIndex(text, -1) {
		rest := text[at[1]-len("flock "):]
		out = append(out, strings.TrimRight(rest[:commandEnd.FindStringIndex(rest)[0]], "…. "))
	}
	return out
}

// shellWords splits a line as a POSIX shell does: at blanks that are not in quotes.
func shellWords(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line + " " {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r != ' ':
			word.WriteRune(r)
			begun = true
		case begun:
			out, begun = append(out, word.String()), false
			word.Reset()
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote (%c) is not closed", quote)
	}
	return out, nil
}

// checkCommand has cobra parse the words after flock, without placeholders.
func checkCommand(root *cobra.Command, may, words []string, c *state.Cluster) error {
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	switch err := cmd.ParseFlags(filledIn(cmd, rest)); {
	case errors.Is(err, pflag.ErrHelp) || cmd.Name() == "help":
		return nil
	case err != nil:
		return err
	case cmd == root:
		return fmt.Errorf("unknown command %q", strings.Join(words, " "))
	}
	args := cmd.Flags().Args()
	if err := cmd.ValidateArgs(args); err != nil {
		return err
	}
	if c == nil {
		return nil
	}
	return checkNames(cmd, may, args, c)
}

// filledIn is words without flags whose values are placeholders.
func filledIn(cmd *cobra.Command, words []string) []string {
	cmd.InheritedFlags() // merges those of the root
	var out []string
	for i := 0; i < len(words); i++ {
		if strings.HasPrefix(words[i], "-") && i+1 < len(words) && placeholder.MatchString(words[i+1]) {
			if flag, inline := handover.Lookup(cmd.Flags(), words[i]); flag != nil && !inline && flag.Value.Type() != "bool" {
				i++
				continue
			}
		}
		out = append(out, words[i])
	}
	return out
}

// naming are the commands whose words are names of a cluster, with the number of words
// before these.
var naming = map[string]int{
	"delserver": 0, "setsubnet": 0, "addnetwork": 0, "delnetwork": 0, "removenetwork": 0, "listnetworks": 0, "changetype": 0,
	"rotatekeys": 0, "addtunnel": 1, "deltunnel": 0, "createbgp": 1, "addbgp": 0, "delbgp": 0, "removebgp": 0, "showbgp": 0,
	"status": 0, "apply": 0,
}

// checkNames refuses a word that looks like a name and is no name of c.
func checkNames(cmd *cobra.Command, may, args []string, c *state.Cluster) error {
	skip, names := naming[cmd.Name()]
	if !names {
		return nil
	}
	for _, arg := range args[min(skip, len(args)):] {
		name, _, _ := strings.Cut(arg, ":")
		_, err := netip.ParseAddr(name)
		known := c.Servers[name] != nil || c.Networks[name] != nil || slices.Contains(may, name) ||
			name == "none" && cmd.Name() == "setsubnet"
		if err != nil && lowerName.MatchString(name) && !known {
			return fmt.Errorf("the cluster has no server and no network %s", name)
		}
	}
	return nil
}
