//go:build linux

package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
)

// The note in a lock's file says who holds it, for which change, since when, and when the
// holder last breathed: three lines, the third of which is PID, seconds since 1970 and
// milliseconds of a clock that nobody sets. Older agents wrote the first two: whether one
// of them breathes is not known, and it is left alone.

// BreathlessBeats is after how many beats without a breath a holder is ended.
const BreathlessBeats = 5

// lockNote is what a lock's file says.
type lockNote struct {
	text           string
	holder, change string
	pid            int       // 0: not known
	since          time.Time // by the server's clock
	breath         time.Duration
}

// noteOf is the note of this process as it is now, and where in it the breath is.
func noteOf(holder, change string) (text []byte, breathAt int64) {
	head := fmt.Sprintf("%s (pid %d)\n%s\n%d %d ", oneLine(holder), os.Getpid(), oneLine(change), os.Getpid(), time.Now().Unix())
	return append([]byte(head), breathNow()...), int64(len(head))
}

// oneLine keeps a note's lines apart, whatever a workstation calls itself.
func oneLine(text string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(text) }

const breathDigits = 20

// breathNow is always as long, so that it can be written over.
func breathNow() []byte { return fmt.Appendf(nil, "%0*d\n", breathDigits, uptime().Milliseconds()) }

// uptime is a clock that runs while this machine does, and is the same for all processes.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // there is no such kernel
	}
	return time.Duration(t.Nano())
}

func readLockNote(text string) lockNote {
	n := lockNote{text: text}
	var rest string
	n.holder, rest, _ = strings.Cut(text, "\n")
	n.change, rest, _ = strings.Cut(rest, "\n")
	fields := strings.Fields(rest)
	if len(fields) != 3 {
		return n
	}
	pid, err1 := strconv.Atoi(fields[0])
	since, err2 := strconv.ParseInt(fields[1], 10, 64)
	breath, err3 := strconv.ParseInt(fields[2], 10, 64)
	if err1 == nil && err2 == nil && err3 == nil && pid > 1 && len(fields[2]) == breathDigits { // whole
		n.pid, n.since, n.breath = pid, time.Unix(since, 0).UTC(), time.Duration(breath)*time.Millisecond
	}
	return n
}

// String says who holds the lock, since when, and whether the holder breathes.
func (n lockNote) String() string {
	switch {
	case n.holder == "":
		return "another flock"
	case n.pid == 0:
		return n.holder
	case n.breathless():
		return fmt.Sprintf("%s since %s, which gave no sign of life for %s", n.holder, n.since.Format(time.DateTime+" MST"), n.silent())
	}
	return fmt.Sprintf("%s since %s, which was alive %s ago", n.holder, n.since.Format(time.DateTime+" MST"), n.silent())
}

func (n lockNote) silent() time.Duration { return max(0, uptime()-n.breath).Truncate(time.Second) }

func (n lockNote) breathless() bool { return n.pid != 0 && uptime()-n.breath > BreathlessBeats*Beat }

// dispossess ends the process that holds the lock at path and does not breathe, stopped or
// not: when it could go on it is no more. Its watchdog, or the next change, takes back
// what it had begun. The process is held before it is looked at, so that no other that got
// its number is ended; it must be the one that the kernel says has the lock.
func (n lockNote) dispossess(path string) bool {
	fd, err := unix.PidfdOpen(n.pid, 0)
	if err != nil {
		return false // it is gone, or the kernel is older than 5.3
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	now, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(now)) != n.text || !holds(n.pid, path) {
		return false
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// holds says whether a process of this PID namespace has the flock(2) on path, by
// /proc/locks (proc_locks(5)): MAJOR:MINOR:INODE, the first two in hexadecimal.
func holds(pid int, path string) bool {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return false
	}
	locks, err := sysfile.Read("/proc/locks")
	if err != nil {
		return false
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(locks)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && f[4] == strconv.Itoa(pid) && f[5] == file {
			return true
		}
	}
	return false
}

// Breathless says whether the process holds the server's lock and does not breathe: it
// was stopped.
func Breathless(agent int) bool {
	text, err := os.ReadFile(ServerPaths().LockPath())
	if err != nil {
		return false // who holds it then has an end of its own
	}
	n := readLockNote(strings.TrimSpace(string(text)))
	return n.pid == agent && n.breathless()
}
