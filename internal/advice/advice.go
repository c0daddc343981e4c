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

// programs are those of servers and workstations whose commands advice names: their options
// are not flock's.
var programs = []string{
	"apt-get", "df", "dnsmasq", "du", "grep", "ip", "journalctl", "ls", "lxc-attach", "modprobe", "mount", "mv", "nft", "nsenter", "pgrep", "ss", "ssh", "ssh-copy-id",
	"ssh-keygen", "sudo", "sysctl", "systemctl", "tc", "uname", "wg",
}

// Options are the options that a next: line names outside of commands: whoever reads it
// adds them to the command that was called.
func Options(text string) []string {
	for _, command := range commandsIn(text) {
		text = strings.Replace(text, command, "", 1)
	}
	var out []string
	for _, part := range commandEnd.Split(text, -1) {
		words := strings.Fields(part)
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(programs, w) }) {
			continue
		}
		for _, word := range words {
			if o := bareOption.FindString(word); o != "" {
				out = append(out, strings.TrimLeft(o, "("))
			}
		}
	}
	return out
}

// CheckOptions refuses an option of a next: line that the command called with args does not
// have.
func CheckOptions(tree func() *cobra.Command, text string, args []string) error {
	cmd, _, err := tree().Find(args)
	if err != nil {
		return nil //nolint:nilerr // an unknown command has no options to be held against
	}
	cmd.InheritedFlags() // merges those of the root
	cmd.InitDefaultHelpFlag()
	for _, option := range Options(text) {
		if flag, _ := handover.Lookup(cmd.Flags(), option); flag == nil {
			return fmt.Errorf("%s in %q: %s has no such option", option, text, cmd.CommandPath())
		}
	}
	return nil
}

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
	bareOption   = regexp.MustCompile(`^\(?(-[a-zA-Z]|--[a-z][a-z-]+)\b`)
	lowerName    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
)

// commandsIn are the flock commands in text.
func commandsIn(text string) []string {
	var out []string
	for _, at := range commandStart.FindAllStringIndex(text, -1) {
		rest := text[at[1]-len("flock "):]
		out = append(out, strings.TrimRight(rest[:endOf(rest)], "…. "))
	}
	return out
}

// endOf is where the command ends that text begins with: not within quotes, if these are closed.
func endOf(text string) int {
	ends := commandEnd.FindAllStringIndex(text, -1)
	for _, at := range ends {
		if before := text[:at[0]]; strings.Count(before, "'")%2 == 0 && strings.Count(before, `"`)%2 == 0 {
			return at[0]
		}
	}
	return ends[0][0]
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
	root.InitDefaultHelpCmd() // cobra adds it when it runs
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

// making are the commands whose first word is the name of what is not there yet.
var making = []string{"addserver", "createnetwork", "createbgp"}

// places are what the usage of a command has after its name; more says that there may be
// more words of the last sort. Words are what stands there in lower case, for itself.
func places(cmd *cobra.Command) (list []string, more bool, words []string) {
	list = strings.Fields(strings.TrimSuffix(cmd.Use, " [flags]"))[1:]
	for _, place := range list {
		more = strings.HasSuffix(strings.TrimRight(place, "]"), "...")
		words = append(words, ownWord.FindAllString(place, -1)...)
	}
	return list, more, words
}

var (
	anyName = regexp.MustCompile(`NAME|SERVER|NETWORK|MEMBER|PEER|^\.\.\.$`)
	ownWord = regexp.MustCompile(`[a-z][a-z0-9-]*`)
)

const contained = "[SERVER:]" // begins the place of a container

// checkNames refuses a word that looks like a name and is no name of c. Where a place may be
// left out, the word there is held against the places behind it too.
func checkNames(cmd *cobra.Command, may, args []string, c *state.Cluster) error {
	list, more, own := places(cmd)
	named := func(place string) bool {
		return anyName.MatchString(place) && !strings.Contains(place, "ADDRESS")
	}
	if slices.Contains(making, cmd.Name()) {
		list = slices.Clone(list)
		list[0] = "NEW"
	}
	first := slices.IndexFunc(list, named)
	for i, arg := range args {
		if first < 0 || i < first || i >= len(list) && !more || !slices.ContainsFunc(list[min(i, len(list)-1):], named) {
			continue
		}
		if strings.HasPrefix(list[min(i, len(list)-1)], contained) && !strings.Contains(arg, ":") {
			continue // a container of this machine
		}
		name, _, _ := strings.Cut(arg, ":")
		_, err := netip.ParseAddr(name)
		known := c.Servers[name] != nil || c.Networks[name] != nil || slices.Contains(may, name) || slices.Contains(own, name)
		if err != nil && lowerName.MatchString(name) && !known {
			return fmt.Errorf("the cluster has no server and no network %s", name)
		}
	}
	return nil
}
