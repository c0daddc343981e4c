package change

import (
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// advised is what server advises to do next. A server says what it likes, and what
// follows next: is pasted into a shell of the workstation: only a command of flock's own
// stands there as it came. Others are for the server and say so, which no shell runs. What
// a shell would read more than words in is quoted.
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

// harmless says that a shell sees one command in text. A second one is none where our
// own sentences go on: to "then" a shell objects, "and" is no program.
func harmless(text string) bool {
	const most = 300 // bytes
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || strings.ContainsRune("&|<>$`\\'\"!{}\x7f", r) }) {
		return false
	}
	if strings.Contains(strings.ReplaceAll(text, " ", ""), "()") { // a function of that name
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
