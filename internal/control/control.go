//go:build linux

// Package control is the control socket of flock's daemons: a unix socket that only root
// may open, one connection per request, one line of JSON each way. It owns the socket, its
// deadlines and the shutdown; it does not know what is requested.
package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/flocknet/flock/internal/wire"
)

// Listen opens the socket at path, for root alone, in the place of one that a process
// left that was killed.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the control socket: %w", err), l.Close())
	}
	return l, nil
}

// Serve answers on l until it is closed or ctx ends, and returns when the last answer is
// out. Exchanges run in parallel, so that a client that sends nothing delays no other, and
// are over within that time. What is no Q gets no answer. It closes l.
func Serve[Q, A any](ctx context.Context, l net.Listener, within time.Duration, answer func(context.Context, Q) A) error {
	var open sync.WaitGroup
	defer open.Wait()
	serving, end := context.WithCancel(ctx)
	defer end()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept says what matters
	defer stop()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("listen on the control socket: %w", err), l.Close())
		}
		open.Go(func() { exchange(ctx, serving, c, within, answer) })
	}
}

// exchange reads a question until serving ends and answers it until ctx does, both within
// that time.
func exchange[Q, A any](ctx, serving context.Context, c net.Conn, within time.Duration, answer func(context.Context, Q) A) {
	defer func() { _ = c.Close() }() // who asked has what there is
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_ = c.SetDeadline(time.Now().Add(within))
	// Nobody waits at the end for one that has not asked yet. This deadline is set after the
	// one above, or that would be the one that holds.
	defer context.AfterFunc(serving, func() { _ = c.SetReadDeadline(time.Now()) })()
	var q Q
	if read(c, &q) == nil {
		_ = write(c, answer(asking, q)) // who asked may be gone
	}
}

// Ask sends question to the socket at path and reads the answer into answer, a pointer,
// within that time. An error is the exchange's: nobody listens, or says anything.
func Ask(ctx context.Context, path string, within time.Duration, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = c.Close() }() // all is read
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	if err := write(c, question); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if err := read(c, answer); err != nil {
		return fmt.Errorf("hear the answer: %w", err)
	}
	return nil
}

// write sends v as one line. JSON has no line ends in its strings.
func write(c net.Conn, v any) error {
	text, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.Write(append(text, '\n'))
	return err
}

// read reads one line into v.
func read(c net.Conn, v any) error {
	text, err := bufio.NewReader(c).ReadBytes('\n')
	if err != nil {
		return err
	}
	return wire.Unmarshal(text, v)
}
