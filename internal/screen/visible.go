package screen

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
// reverses words. Everything that people read is printed by Print, which shows such
// characters instead of sending them. -o json uses the escapes of JSON.

// Visible is s with its invisible characters written as Go does: \n, \x1b, \u202e.
func Visible(s string) string {
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

// Ink is text that was made visible already, with our own colours.
type Ink string

// Print writes a format of ours to w; args are made visible.
func Print(w io.Writer, format string, args ...any) error {
	for i, arg := range args {
		switch v := arg.(type) {
		case Ink:
			args[i] = string(v)
		case string:
			args[i] = Visible(v)
		case error:
			args[i] = Message(v)
		case fmt.Stringer:
			args[i] = Visible(v.String())
		}
	}
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// Message is the text of an error in one line, its parts one after the other.
func Message(err error) string {
	parts := Parts(bare(err))
	if len(parts) == 1 {
		return Visible(parts[0].Error())
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = Message(part)
	}
	return strings.Join(texts, "; ")
}

// Marked is an error that only marks another, for whoever tells errors apart: what it says
// is what that one says.
type Marked interface {
	error
	Marked() error // the other error
}

// bare is err without marks and advice.
func bare(err error) error {
	for {
		var inner error
		switch v := err.(type) { //nolint:errorlint // one layer at a time
		case *hint.Error:
			inner = v.Err
		case Marked:
			inner = v.Marked()
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Parts splits an error into the parts of errors.Join, but not an error that wraps
// several. A nil error has none.
func Parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	return joined.Unwrap()
}

// Error prints an error to w with its advice.
func Error(w io.Writer, err error) {
	where, next := hint.Of(err)
	_ = Print(w, "%s", Ink(hint.Text("flock", hint.With(errors.New(Message(err)), Visible(where), Visible(next)))))
}
