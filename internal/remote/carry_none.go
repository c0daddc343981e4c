//go:build !carry

package remote

import (
	"errors"
	"io"
)

// carried has nothing: only release builds carry agents.
func carried(string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }
