// Package handover owns calls of flock that are meant for util-linux's program of that
// name: how they are told from ours, and how they are passed on.
//
// util-linux has a flock(1) that locks a file or a descriptor while a command runs.
// Where this program comes before it in PATH, scripts must still work; and a mistyped
// command of ours must not run a program:
//
//   - the first word that is not a flag is one of our commands: it is for us;
//   - a flag before it that only util-linux knows (-n, -x, -w 5 …): it is for flock(1);
//   - a number (a descriptor) or a path with a slash: it is for flock(1);
//   - any other word: for us, an error that says how to lock a file of that name.
//
// It does not know what our commands do: it asks the tree of commands for their names.
package handover

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

// theirShort and theirLong are the options of util-linux 2.41's flock that ours
// does not have.
const theirShort = "sexnuwEcFvV"

func theirLong(name string) bool {
	return slices.Contains([]string{
		"shared", "exclusive", "unlock", "nonblock", "nb", "wait", "conflict-exit-code", "close", "command", "no-fork", "fcntl",
	}, name)
}

// theirValued are the short options of theirs that take a value.
const theirValued = "wEc"

// Theirs says whether args are meant for util-linux's flock(1).
func Theirs(root *cobra.Command, args []string) bool {
	word, theirs := firstWord(root.PersistentFlags(), args)
	return theirs && !ours(root, word) || lockable(word)
}

// Misspelled is the error about a word that is neither a command nor a file; nil if there is
// none.
func Misspelled(root *cobra.Command, args []string) error {
	word, _ := firstWord(root.PersistentFlags(), args)
	if word == "" || ours(root, word) {
		return nil
	}
	next := "flock help; to lock a file of that name: flock ./" + word + " COMMAND"
	if near := root.SuggestionsFor(word); len(near) > 0 {
		next = "did you mean: flock " + strings.Join(near, " or flock ")
	}
	return hint.Errorf("", next, "unknown command %q", word)
}

// firstWord is the first word of args that is neither a flag nor a flag's value; theirs
// says that a flag before it belongs to util-linux alone.
func firstWord(flags *pflag.FlagSet, args []string) (word string, theirs bool) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return strings.Join(args[i+1:min(i+2, len(args))], ""), theirs
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			return arg, theirs
		}
		flag, inline := Lookup(flags, arg)
		switch {
		case flag == nil && !theirFlag(arg):
			return "", theirs // an unknown flag: cobra reports it
		case flag == nil:
			theirs = true
			if takesValue(arg) {
				i++
			}
		case flag.Value.Type() == "bool" || inline:
		case i+1 < len(args) && flag.Name == "output" && lockable(args[i+1]):
			return args[i+1], true // -o is util-linux's --close, too
		default:
			i++
		}
	}
	return "", theirs
}

// takesValue says whether the word after util-linux's option arg is its value.
func takesValue(arg string) bool {
	if strings.HasPrefix(arg, "--") {
		return slices.Contains([]string{"--wait", "--timeout", "--conflict-exit-code", "--command"}, arg)
	}
	return strings.Contains(theirValued, arg[len(arg)-1:])
}

// Lookup is our flag that arg sets; inline says that arg contains its value.
func Lookup(flags *pflag.FlagSet, arg string) (flag *pflag.Flag, inline bool) {
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

// lockable says whether word can only be meant for util-linux's flock: a descriptor, or
// a path with a slash.
func lockable(word string) bool {
	_, err := strconv.ParseUint(word, 10, 31)
	return err == nil || strings.ContainsRune(word, '/')
}

// handedOver is an environment variable, set to our process id for the program that we
// execute: another copy of this flock in PATH must not hand the call over again.
const handedOver = "FLOCK_HANDED_OVER"

// Find finds util-linux's flock for a call with args. The error says that there is none.
func Find(args []string, getenv func(string) string) (path string, err error) {
	if getenv(handedOver) != strconv.Itoa(os.Getpid()) {
		path = theirFlock(append([]string{"/usr/bin", "/bin"}, filepath.SplitList(getenv("PATH"))...))
	}
	if path == "" {
		return "", hint.Errorf("", "flock help", "%q is none of flock's commands, and util-linux's flock(1) is not installed", strings.Join(args, " "))
	}
	return path, nil
}

// Exec replaces this process with the program at path. It returns only with an error.
func Exec(path string, args []string) error {
	env := append(os.Environ(), handedOver+"="+strconv.Itoa(os.Getpid()))
	err := syscall.Exec(path, append([]string{"flock"}, args...), env)
	return hint.With(fmt.Errorf("hand over to %s: %w", path, err), "", "")
}

// theirFlock finds a program called flock in dirs that is not this one.
func theirFlock(dirs []string) string {
	me, err := os.Executable()
	if err != nil {
		return ""
	}
	self, err := os.Stat(me)
	if err != nil {
		return ""
	}
	for _, dir := range dirs {
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
