package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flocknet/flock/internal/hint"
)

// Servers, and files that somebody wrote, say what they like, and a terminal obeys: an
// escape sequence moves the cursor over what stands there, a line's end begins a line of
// theirs, a mark of direction turns words round. All that people read goes through
// print, so that such characters are seen and do nothing. What -o json prints are JSON's
// own escapes.

// visible is s with what is no visible character written out as Go does: \n, \x1b, \u202e.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case hidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// hidden says that r cannot be seen, or changes how others are: control characters, marks
// of direction, blanks that are none. Tables hold words together by a no-break space.
func hidden(r rune) bool { return !strconv.IsPrint(r) && r != '\u00a0' }

// ink is text that is shown already, with our own colours.
type ink string

// print writes a text of ours, in which args stand made visible.
func (a *app) print(w io.Writer, format string, args ...any) error {
	for i, arg := range args {
		switch v := arg.(type) {
		case ink:
			args[i] = string(v)
		case string:
			args[i] = visible(v)
		case error:
			args[i] = message(v)
		case fmt.Stringer:
			args[i] = visible(v.String())
		}
	}
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// message is what an error says, in one line: its parts one after the other.
func message(err error) string {
	parts := problems(bare(err))
	if len(parts) == 1 {
		return visible(parts[0].Error())
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = message(part)
	}
	return strings.Join(texts, "; ")
}

// bare is err without what only marks it or carries advice.
func bare(err error) error {
	for {
		var inner error
		switch v := err.(type) { //nolint:errorlint // one layer at a time
		case *hint.Error:
			inner = v.Err
		case usage:
			inner = v.error
		case partial:
			inner = v.error
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// report prints an error with its advice.
func (a *app) report(err error) {
	where, next := hint.Of(err)
	_ = a.print(a.Err, "%s", ink(hint.Text("flock", hint.With(errors.New(message(err)), visible(where), visible(next)))))
}
