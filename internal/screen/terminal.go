package screen

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// Terminal finds out whether in, out and errors are terminals.
func Terminal(in, out, errors *os.File) Streams {
	is := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	s := Streams{In: in, Out: out, Err: errors, InTTY: is(in) && is(errors), OutTTY: is(out), ErrTTY: is(errors)}
	s.Width = func() int {
		for _, f := range []*os.File{out, errors, in} {
			if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
				return columns
			}
		}
		return 0
	}
	if !s.InTTY {
		return s
	}
	s.Discard = func() error { return discardInput(int(in.Fd())) }
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return s // echo could not be restored: no passphrases are asked for
	}
	s.Restore = func() error { return term.Restore(int(in.Fd()), before) }
	s.Secret = func() ([]byte, error) {
		text, err := term.ReadPassword(int(in.Fd()))
		if err != nil {
			return nil, fmt.Errorf("read from the terminal: %w", err)
		}
		return text, nil
	}
	return s
}
