//go:build linux

package host

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// slack is how much later than it asks for Go's monitoring thread may be woken, in nanoseconds.
const slack = "1000000"

// CalmMonitor lets Go's monitoring thread look once a millisecond, and not every 20 µs, whether
// a system call keeps others from the processor (timerslack_ns, proc(5)): a tenth of the
// processor time of a session that finds nothing to do. It is the first thread that Go's
// runtime makes, and most often has the number that follows the process's own; where that is no
// thread of ours, all stays as it is.
func CalmMonitor() { calm(os.Getpid() + 1) }

// calm does that for the thread with this number, and says whether it is one of ours.
func calm(thread int) bool {
	if unix.Tgkill(os.Getpid(), thread, 0) != nil {
		return false
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(thread)+"/timerslack_ns", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true // linux < 4.6
	}
	_, _ = unix.Write(fd, []byte(slack)) // otherwise it looks more often
	_ = unix.Close(fd)
	return true
}
