//go:build !linux

package screen

import "golang.org/x/sys/unix"

// discardInput drops what waits in a terminal's input queue, as tcflush(3) does.
func discardInput(fd int) error {
	const fread = 1 // FREAD of sys/fcntl.h
	return unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, fread)
}
