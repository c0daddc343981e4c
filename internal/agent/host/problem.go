//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Problem is err as the workstation shows it: what, where and what next.
func Problem(err error) *spec.Problem {
	where, next := hint.Of(err)
	what, trace, cut := strings.Cut(err.Error(), "\n")
	if cut && next == "" {
		fmt.Fprintln(os.Stderr, trace)
		next = "see what the agent wrote to its standard error"
	}
	if next == "" {
		next = mendFile(err)
	}
	return &spec.Problem{What: what, Where: where, Next: next}
}

// BareErrno is the kernel's reason within err, without the paths that a message names
// already.
func BareErrno(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// MendDir is the advice for a directory, or file, that cannot be written: it names the
// mount where that is what keeps it.
func MendDir(path string, err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return "mount -o remount,rw " + mountOf(path)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		at := mountOf(path)
		return fmt.Sprintf("df -h %s, and df -i %s", at, at)
	}
	return "ls -ld " + path + "; lsattr -d " + path
}

// mendFile is the advice for an error about a file that could not be written because
// of the disk it is on, "" for others.
func mendFile(err error) string {
	path := ""
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		path = p.Path
	case errors.As(err, &l):
		path = l.New
	}
	full := errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if path == "" || !full {
		return ""
	}
	return MendDir(path, err)
}

// mountOf is where the file system that path is on, or would be, is mounted.
func mountOf(path string) string {
	data, err := sysfile.Read("/proc/self/mountinfo")
	if err != nil {
		return "/"
	}
	best := "/"
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line) // proc(5): the fifth is the mount point
		if len(fields) < 5 {
			continue
		}
		at := strings.ReplaceAll(fields[4], `\040`, " ")
		if (path == at || strings.HasPrefix(path, strings.TrimSuffix(at, "/")+"/")) && len(at) >= len(best) {
			best = at
		}
	}
	return best
}
