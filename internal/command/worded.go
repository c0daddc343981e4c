package command

import (
	"context"
	"regexp"
	"strings"

	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// Whoever refuses a value of a network advises how to change it: by a flag, or by
// "flock setnetwork", or by another type. Neither works for a network of a file that is about
// to be applied, nor does setnetwork for one that the command has just refused to make.

var (
	setting  = regexp.MustCompile(`flock setnetwork (\S+)((?: -{1,2}[a-z][a-z-]*(?: [^\s,;]\S*?)?)+)(,|;|$)`)
	retyping = regexp.MustCompile(`flock changetype (\S+) ([a-z0-9-]+)`)
	bareFlag = regexp.MustCompile(`(^|[\s(])(-[a-z]|--[a-z][a-z-]+)\b`)
)

// worded is err with its advice as it works after the command that was called.
func (a *App) worded(ctx context.Context, err error) error {
	_, next := hint.Of(err)
	if a.ran == nil || next == "" {
		return err
	}
	var c *state.Cluster
	if s, openErr := a.Store(); openErr == nil {
		c, _ = s.Load(ctx) // one that cannot be read has no networks
	}
	if said := a.asCalled(next, c); said != next {
		return hint.Reword(err, said)
	}
	return err
}

// asCalled is advice about c's networks, and those that the command has not made.
func (a *App) asCalled(next string, c *state.Cluster) string {
	file := ""
	if f := a.ran.Flags().Lookup("file"); f != nil && f.Changed {
		file = strings.Replace(f.Value.String(), "-", "the file", max(0, 2-len(f.Value.String())))
	}
	next = setting.ReplaceAllStringFunc(next, func(command string) string {
		part := setting.FindStringSubmatch(command)
		name, flags, end := part[1], strings.TrimSpace(part[2]), part[3]
		switch {
		case c != nil && c.Networks[name] != nil:
			return command
		case file != "":
			return "in " + file + ", give " + name + " " + keys(flags) + end
		}
		flags = strings.Replace(flags, "--rename ", "--name ", 1)
		for _, flag := range bareFlag.FindAllStringSubmatch(flags, -1) {
			if !a.takes(flag[2]) {
				return command
			}
		}
		return "the same with " + flags + end
	})
	next = retyping.ReplaceAllStringFunc(next, func(command string) string {
		part := retyping.FindStringSubmatch(command)
		switch name, kind := part[1], part[2]; {
		case c != nil && c.Networks[name] != nil:
			return command
		case file != "":
			return "in " + file + ", give " + name + " type " + kind
		default:
			return "the same with " + kind
		}
	})
	if file != "" && !strings.Contains(next, "flock ") {
		next = bareFlag.ReplaceAllStringFunc(next, func(flag string) string {
			if part := bareFlag.FindStringSubmatch(flag); !a.takes(part[2]) {
				return part[1] + edit.KeyOf(part[2])
			}
			return flag
		})
	}
	return next
}

// takes says whether the command that was called has a flag.
func (a *App) takes(flag string) bool {
	if name, long := strings.CutPrefix(flag, "--"); long {
		return a.ran.Flags().Lookup(name) != nil
	}
	return a.ran.Flags().ShorthandLookup(flag[1:]) != nil
}

// keys are flags with their values as a file has them.
func keys(flags string) string {
	words := strings.Fields(flags)
	for i, word := range words {
		if strings.HasPrefix(word, "-") {
			words[i] = edit.KeyOf(word)
			if i > 0 {
				words[i] = "and " + words[i]
			}
		}
	}
	return strings.Join(words, " ")
}
