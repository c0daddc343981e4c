// Package screen puts text before people: streams and what is known about them, tables,
// lines of progress, questions, and the words of errors, all with every character of
// others made visible.
//
// It owns how text looks on a terminal and in a pipe. It does not know what is printed:
// no commands, no networks, no servers.
package screen

import "io"

// Streams are where a command reads and writes, and what is known about them.
type Streams struct {
	// Name is what the program was called by; empty: flock.
	Name     string
	In       io.Reader
	Out, Err io.Writer
	InTTY    bool // somebody can answer on In
	OutTTY   bool
	ErrTTY   bool
	// Width returns the terminal's columns; 0: unknown. May be nil.
	Width func() int
	// Discard forgets what was typed and not read yet; nil: nothing is kept that could
	// be forgotten.
	Discard func() error
	// Secret reads a line without echo; nil: nobody can type one.
	Secret func() ([]byte, error)
	// Restore undoes what a Secret that was interrupted did to the terminal; nil
	// with a nil Secret.
	Restore func() error
}

// Columns is the width of the terminal; 0: unknown.
func (s Streams) Columns() int {
	if s.Width == nil {
		return 0
	}
	return s.Width()
}
