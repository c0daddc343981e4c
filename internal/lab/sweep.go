package lab

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
)

// Owner is a process that a lab is bound to (Options.Bound).
type Owner struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: a number used again is another process
}

func (o *Owner) proc() proc { return proc{pid: o.PID, start: o.Start} }

// Sweep removes labs that were bound to processes which ended without Down, such as
// tests that were killed. Up and DownDir call it first. It returns their directories.
func Sweep(ctx context.Context) (swept []string, err error) {
	return sweep(ctx, func(o *Owner) bool { return !o.proc().alive() })
}

// Release removes the labs that are bound to this process, whatever it is doing with
// them: for a process that a signal ends.
func Release(ctx context.Context) error {
	_, err := sweep(ctx, func(o *Owner) bool { return o.PID == os.Getpid() })
	return err
}

func sweep(ctx context.Context, goes func(*Owner) bool) (swept []string, err error) {
	dirs, err := mounted()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, dir := range dirs {
		// A lab that is being made or removed is another process's work.
		if l, err := Open(dir); err == nil && l.Owner != nil && goes(l.Owner) {
			swept = append(swept, dir)
			errs = append(errs, l.alone(func() error { return l.Down(ctx) }))
		}
	}
	return swept, errors.Join(errs...)
}

// alone runs f unless another process does it already.
func (l *Lab) alone(f func() error) error {
	file, err := os.Open(l.path(metaFile))
	if err != nil {
		return nil //nolint:nilerr // gone meanwhile: somebody else did it
	}
	defer func() { _ = file.Close() }() // releases the lock
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil
	}
	return f()
}

// mounted are the directories of labs, from the mount table.
func mounted() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // no Linux, no labs
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 2 && f[2] == "tmpfs" && strings.HasSuffix(f[0], "-lab") && exists(f[1]+"/"+metaFile) {
			dirs = append(dirs, f[1])
		}
	}
	return dirs, nil
}
