package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// errNo is the error after a question that was answered with no.
var errNo = errors.New("not confirmed, nothing was changed")

// mayAsk refuses a command that would have to ask where nobody can answer: a script that
// removes something says --yes. An empty question removes nothing.
func (a *app) mayAsk(question string) error {
	if question == "" || a.flags.yes || a.flags.dryRun || a.InTTY {
		return nil
	}
	return refuse(shellLine(a.args)+" --yes", "%s: there is no terminal to ask on", strings.TrimSuffix(question, "?"))
}

// shellLine is the flock command of args as it is typed in a POSIX shell.
func shellLine(args []string) string { return hint.Shell(append([]string{"flock"}, args...)...) }

// confirm asks before something is removed, unless --yes is given; without a terminal
// that is an error.
func (a *app) confirm(p *progress, question string) error {
	if a.flags.yes || a.flags.dryRun {
		return nil
	}
	if err := a.mayAsk(question); err != nil {
		return err
	}
	yes, err := a.ask(p, question)
	if err == nil && !yes {
		err = hint.With(errNo, "", "--yes answers for you")
	}
	return err
}

// ask asks a question on the terminal; anything but y and yes means no, and so does the
// end of the input.
func (a *app) ask(p *progress, question string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	if err := a.discard(); err != nil {
		return false, err
	}
	_ = a.print(a.Err, "%s [y/N] ", strings.TrimSpace(question))
	line, err := untilDone(a.done, func() (string, error) { return readLine(a.In) })
	if errors.Is(err, io.EOF) {
		_ = a.print(a.Err, "\n")
		err = nil
	}
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// discard drops what was typed before the question was there: it answers something else.
func (a *app) discard() error {
	if a.Discard == nil {
		return nil
	}
	if err := a.Discard(); err != nil {
		return fmt.Errorf("discard what was typed ahead: %w", err)
	}
	return nil
}

// untilDone waits for read, or for an interrupt: a read of a terminal cannot be
// cancelled. It stays blocked then, until the program ends.
func untilDone[T any](done <-chan struct{}, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	answered := make(chan result, 1)
	go func() {
		value, err := read()
		answered <- result{value, err}
	}()
	select {
	case r := <-answered:
		return r.value, r.err
	case <-done:
		var none T
		return none, context.Canceled
	}
}

// readLine reads up to a line feed and nothing after it, which belongs to the next
// question.
func readLine(r io.Reader) (string, error) {
	if b, ok := r.(io.ByteReader); ok {
		return readBytes(b)
	}
	return readBytes(bufio.NewReaderSize(oneByte{r}, 16))
}

func readBytes(r io.ByteReader) (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		if err != nil || c == '\n' {
			return string(line), err
		}
		line = append(line, c)
	}
}

// oneByte reads one byte at a time, so that a buffer above it does not read ahead.
type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(1, len(b))]) }

// secret returns the function that asks for a passphrase; nil without a terminal.
func (a *app) secret(p *progress) func(string) ([]byte, error) {
	if a.Secret == nil {
		return nil
	}
	return func(prompt string) ([]byte, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
		if err := a.discard(); err != nil {
			return nil, err
		}
		_ = a.print(a.Err, "%s ", strings.TrimSpace(prompt))
		text, err := untilDone(a.done, a.Secret)
		if errors.Is(err, context.Canceled) && a.Restore != nil {
			err = errors.Join(err, a.Restore())
		}
		_ = a.print(a.Err, "\n")
		return text, err
	}
}
