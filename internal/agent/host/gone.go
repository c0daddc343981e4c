//go:build linux

package host

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Gone says whether the kernel answered that what was to be removed is not there.
func Gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)
}
