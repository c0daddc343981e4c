// Package hint adds to an error *where* it happened and *what next* to type. It
// owns that pair and its printed form. It does not know what went wrong, colours
// no text and chooses no exit status.
package hint

import (
	"errors"
	"fmt"
	"strings"
)

// Error is an error with advice attached. Message, Where and Next are single
// lines without a full stop; Next is a command that can be pasted, or a short
// sentence where no command helps.
type Error struct {
	Err   error
	Where string
	Next  string

	pinned bool // Where holds, whatever Err says
	said   bool // so does Next
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error the advice was attached to.
func (e *Error) Unwrap() error { return e.Err }

// With attaches where err belongs and what to do about it. An empty where or
// next says nothing. A nil err stays nil.
func With(err error, where, next string) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Where: where, Next: next}
}

// Errorf makes an error of format and attaches where and next. Format may use %w.
func Errorf(where, next, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Where: where, Next: next}
}

// Pin attaches where err belongs as With does, and holds against what err's parts
// say of that: for whoever knows the whole place. A nil err stays nil.
func Pin(err error, where string) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Where: where, pinned: true}
}

// Reword says another next than err's parts do: for whoever knows which command was run. A
// nil err stays nil.
func Reword(err error, next string) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Next: next, said: true}
}

// Of returns the advice attached to err. The innermost wins, word by word: it
// was attached by whoever knew most. A place that was pinned wins over those
// inside of it, and so does advice that was reworded.
func Of(err error) (where, next string) {
	pinned, said := false, false
	for {
		var e *Error
		if !errors.As(err, &e) {
			return where, next
		}
		if e.Where != "" && !pinned {
			where, pinned = e.Where, e.pinned
		}
		if e.Next != "" && !said {
			next, said = e.Next, e.said
		}
		err = e.Err
	}
}

// Text is the printed form: one line for what failed, then `where:` and
// `next:` where known. Program is the name in front of the first line.
func Text(program string, err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", program, err)
	where, next := Of(err)
	if where != "" {
		fmt.Fprintf(&b, "where: %s\n", where)
	}
	if next != "" {
		fmt.Fprintf(&b, "next:  %s\n", next)
	}
	return b.String()
}

// Shell is the command of words as it is typed in a POSIX shell: what a file or a server
// named stays one word there, whatever is in it.
func Shell(words ...string) string {
	out := make([]string, len(words))
	for i, word := range words {
		if word == "" || strings.Trim(word, shellSafe) != "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		out[i] = word
	}
	return strings.Join(out, " ")
}

// shellSafe mean nothing to a shell.
const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_"
