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

// Servers, and files that somebody else wrote, may send anything to the terminal: an
// escape sequence moves the cursor, a line end begins a new line, a direction mark
// reverses words. Everything that people read is printed by print, which shows such
// characters instead of sending them. -o json uses the escapes of JSON.

// visible is s with its invisible characters written as Go does: \n, \x1b, \u202e.
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

// hidden says that r is invisible, or changes other characters: control characters,
// direction marks, unusual blanks. Tables use no-break spaces to keep words together.
func hidden(r rune) bool { return !strconv.IsPrint(r) && r != '\u00a0' }

// ink is text that was made visible already, with our own colours.
type ink string

// print writes a format of ours; args are made visible.
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

// message is the text of an error in one line, its parts one after the other.
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

// bare is err without marks and advice.
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
