package screen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Ask asks a question on the terminal; anything but y and yes means no, and so does the
// end of the input. It gives up with context.Canceled when done is closed.
func (l *Lines) Ask(done <-chan struct{}, question string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	if err := l.s.discard(); err != nil {
		return false, err
	}
	_ = Print(l.s.Err, "%s [y/N] ", strings.TrimSpace(question))
	line, err := untilDone(done, func() (string, error) { return readLine(l.s.In) })
	if errors.Is(err, io.EOF) {
		_ = Print(l.s.Err, "\n")
		err = nil
	}
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// discard drops what was typed before the question was there: it answers something else.
func (s Streams) discard() error {
	if s.Discard == nil {
		return nil
	}
	if err := s.Discard(); err != nil {
		return fmt.Errorf("discard what was typed ahead: %w", err)
	}
	return nil
}

// AskSecret asks for a text that is not shown while it is typed, by the streams' Secret,
// which must not be nil. It gives up with context.Canceled when done is closed.
func (l *Lines) AskSecret(done <-chan struct{}, prompt string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	if err := l.s.discard(); err != nil {
		return nil, err
	}
	_ = Print(l.s.Err, "%s ", strings.TrimSpace(prompt))
	text, err := untilDone(done, l.s.Secret)
	if errors.Is(err, context.Canceled) && l.s.Restore != nil {
		err = errors.Join(err, l.s.Restore())
	}
	_ = Print(l.s.Err, "\n")
	return text, err
}
