//go:build !linux

package dial

import (
	"context"
	"errors"
)

// CanTouch is false: only Linux lets a program delay the third packet of a handshake.
const CanTouch = false

// Touch is not there.
func Touch(context.Context, string, string) error { return errors.ErrUnsupported }
