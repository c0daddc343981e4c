package screen

import "golang.org/x/sys/unix"

// discardInput drops what waits in a terminal's input queue, as tcflush(3) does.
func discardInput(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }
