//go:build !linux

package agent

import (
	"context"
	"errors"
	"io"
)

var errLinux = errors.New("the agent runs on Linux only")

// Serve is for Linux: see there.
func Serve(context.Context, io.Reader, io.Writer, string, []byte) error { return errLinux }

var wireGuard, udp, resolve Command = Names, Names, Names

// Names is for Linux: see there.
func Names(context.Context, string, io.Writer) error { return errLinux }

func try(string, io.Writer) error { return errLinux }

// Speaker is for Linux: see there.
func Speaker(func(context.Context, string, string, io.Writer, func() (func() error, error)) error) Command {
	return func(context.Context, string, io.Writer) error { return errLinux }
}

// Undo is for Linux: see there.
func Undo(context.Context, string, io.Reader, io.Writer) error { return errLinux }

// Early is for Linux: see there.
func Early(context.Context, io.Writer) error { return errLinux }

// Rules is for Linux: see there.
func Rules(context.Context, io.Writer) error { return errLinux }

// Boot is for Linux: see there.
func Boot(context.Context, io.Writer) error { return errLinux }
