package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/flocknet/flock/internal/hint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// util-linux has a flock(1) that locks a file or a descriptor around a command.
// Where ours stands before it in PATH, scripts must keep working:
//
//   - the first word that is not a flag is one of our commands: ours;
//   - a flag before it that only util-linux knows (-n, -x, -w 5 …): theirs;
//   - a number (a descriptor), a path, a name of a file that exists, any other word
//     with more words behind it: theirs;
//   - a bare word alone, or one that is a command of ours mistyped: ours, an error
//     that says how to lock a file of that name.

// theirShort and theirLong are the options of util-linux 2.41's flock that ours
// does not have.
const theirShort = "sexnuwEcFvV"

func theirLong(name string) bool {
	return slices.Contains([]string{
		"shared", "exclusive", "unlock", "nonblock", "nb", "wait", "conflict-exit-code", "close", "command", "no-fork", "fcntl",
	}, name)
}

// foreign says whether args are meant for util-linux's flock(1).
func foreign(root *cobra.Command, args []string) bool {
	word, more, theirs := firstWord(root.PersistentFlags(), args)
	if theirs {
		return true
	}
	if word == "" || ours(root, word) {
		return false
	}
	if lockable(word) {
		return true
	}
	return more && len(mistyped(root, word)) == 0
}

// misspelled is the error for a word that is neither a command nor a file.
func misspelled(root *cobra.Command, args []string) error {
	word, _, _ := firstWord(root.PersistentFlags(), args)
	if word == "" || ours(root, word) {
		return nil
	}
	next := "flock help; to lock a file of that name: flock ./" + word + " COMMAND"
	if near := root.SuggestionsFor(word); len(near) > 0 {
		next = "did you mean: flock " + strings.Join(near, " or flock ")
	}
	return refuse(next, "unknown command %q", word)
}

// firstWord finds the first word of args that is neither a flag of ours nor its
// value, and whether more follow. Theirs: a flag before it is util-linux's alone.
func firstWord(flags *pflag.FlagSet, args []string) (word string, more, theirs bool) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || !strings.HasPrefix(arg, "-") || arg == "-" {
			return arg, i+1 < len(args), arg == "--"
		}
		flag, inline := lookup(flags, arg)
		if flag == nil {
			return "", false, theirFlag(arg)
		}
		if flag.Value.Type() == "bool" || inline {
			continue
		}
		i++
		// -o is util-linux's --close, too.
		if i < len(args) && flag.Name == "output" && !slices.Contains([]string{formTable, formJSON, formWide}, args[i]) && lockable(args[i]) {
			return "", false, true
		}
	}
	return "", false, false
}

// lookup finds the flag of ours that arg sets; inline: its value is in arg.
func lookup(flags *pflag.FlagSet, arg string) (flag *pflag.Flag, inline bool) {
	if name, long := strings.CutPrefix(arg, "--"); long {
		name, _, inline = strings.Cut(name, "=")
		return flags.Lookup(name), inline
	}
	return flags.ShorthandLookup(arg[1:2]), len(arg) > 2
}

func theirFlag(arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		name, _, _ = strings.Cut(name, "=")
		return theirLong(name)
	}
	return strings.Contains(theirShort, arg[1:2])
}

// ours says whether word names one of our commands; cobra adds its own hidden
// ones for completion only when it runs.
func ours(root *cobra.Command, word string) bool {
	if word == "help" || strings.HasPrefix(word, cobra.ShellCompRequestCmd) {
		return true
	}
	return slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word || c.HasAlias(word) })
}

// lockable says whether word is what util-linux's flock locks: a descriptor, a
// path, or a file that is there.
func lockable(word string) bool {
	if _, err := strconv.ParseUint(word, 10, 31); err == nil {
		return true
	}
	if strings.ContainsRune(word, '/') {
		return true
	}
	_, err := os.Lstat(word)
	return err == nil
}

// mistyped returns our commands that word nearly is. Short ones do not count:
// they are near to too many names of lock files.
func mistyped(root *cobra.Command, word string) []string {
	return slices.DeleteFunc(root.SuggestionsFor(word), func(name string) bool { return len(name) < 7 })
}

// handedOver is set to our process id in the environment of what we exec: a
// second flock of ours in PATH must not hand the call back for ever.
const handedOver = "FLOCK_HANDED_OVER"

// handOver replaces this process with util-linux's flock. It returns only with
// an error.
func handOver(args []string, getenv func(string) string) error {
	self := strconv.Itoa(os.Getpid())
	path := ""
	if getenv(handedOver) != self {
		path = foreignFlock(getenv("PATH"))
	}
	if path == "" {
		return refuse("flock help", "%q is none of flock's commands, and util-linux's flock(1) is not installed", strings.Join(args, " "))
	}
	env := append(os.Environ(), handedOver+"="+self)
	err := syscall.Exec(path, append([]string{"flock"}, args...), env)
	return hint.With(fmt.Errorf("hand over to %s: %w", path, err), "", "")
}

// foreignFlock finds a program called flock that is not this one.
func foreignFlock(path string) string {
	me, err := os.Executable()
	if err != nil {
		return ""
	}
	self, err := os.Stat(me)
	if err != nil {
		return ""
	}
	for _, dir := range append([]string{"/usr/bin", "/bin"}, filepath.SplitList(path)...) {
		if !filepath.IsAbs(dir) {
			continue
		}
		name := filepath.Join(dir, "flock")
		info, err := os.Stat(name)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || os.SameFile(info, self) {
			continue
		}
		return name
	}
	return ""
}
