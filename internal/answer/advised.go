package answer

import (
	"errors"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Problem is a server's problem as an error with where it is and its advice (hint).
func Problem(server string, p *spec.Problem) error {
	where := "server " + server
	if p.Where != "" {
		where += ", " + p.Where
	}
	return hint.With(errors.New(p.What), where, advised(server, p.Next))
}

// advised is server's advice what to do next. A server may send any text, and what
// follows next: is pasted into a shell of the workstation: only a command of flock is
// shown as it came. Other text is marked as meant for the server, in a form that no
// shell runs, and quoted where a shell would read more than words.
func advised(server, next string) string {
	switch {
	case next == "":
		return ""
	case !harmless(next):
		return server + " advises: " + hint.Shell(next)
	case strings.HasPrefix(next, "flock "):
		return next
	}
	return "on " + server + ": " + next
}

// harmless says that a shell reads a single command in text. It may be followed by words
// of our own sentences: to "then" a shell reports an error, and "and" is no program.
func harmless(text string) bool {
	const most = 300 // bytes
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || strings.ContainsRune("&|<>$`\\'\"!{}\x7f", r) }) {
		return false
	}
	if strings.Contains(strings.ReplaceAll(text, " ", ""), "()") { // it would define a function
		return false
	}
	parts := strings.Split(text, ";")
	for _, part := range parts[1:] {
		word, _, _ := strings.Cut(strings.TrimPrefix(part, " "), " ")
		if word != "then" && word != "and" && word != "the" && word != "or" {
			return false
		}
	}
	return true
}
