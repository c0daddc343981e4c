//go:build !linux

package bgp

import (
	"context"
	"errors"
	"io"
)

// Run is for Linux: see there.
func Run(context.Context, string, string, io.Writer, func() (func() error, error)) error {
	return errors.New("the BGP daemon runs on Linux only")
}
