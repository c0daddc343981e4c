//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/wire"
)

const (
	// runDir is for what does not outlive a reboot.
	runDir   = "/run/flock"
	lockFile = "lock"
	// LockWithin is how long a session waits for another one's end: longer than it takes
	// to see that one does not breathe.
	LockWithin = 40 * time.Second
)

// Beat is wire.Beat, but for tests.
var Beat = wire.Beat

// Lock is the server's: one change at a time, whatever the cluster. The kernel
// releases it with the process that holds it, which notes at every beat that it breathes.
type Lock struct {
	file   *os.File
	path   string
	breath wire.Vigil
}

// ErrTwin is the refusal of a lock that the same command took on this very server.
var ErrTwin = errors.New("this machine is in the cluster file under two names: this very command has begun to change it under the other one")

// TakeLock waits until nobody else holds the lock at path, and ends a holder that does not
// breathe. Holder is told to who waits meanwhile; waiting is called once per holder that
// is in the way, and once more when that one is ended. To wait for the change that this
// one belongs to, if not "", would be to wait for ourselves.
func TakeLock(ctx context.Context, path, holder, change string, within time.Duration, waiting func(string)) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	told, ended := "", ""
	for {
		l, text, err := TryLock(path)
		if err != nil {
			return nil, fmt.Errorf("take the server's lock: %w", err)
		}
		if l != nil {
			return l, l.Sign(holder, change)
		}
		other := readLockNote(text)
		if change != "" && other.change == change {
			return nil, hint.With(ErrTwin, "", "keep one of the two: flock delserver SERVER, or take it out of the file that you apply")
		}
		if other.holder != "" && other.holder != told {
			told = other.holder
			waiting(other.String())
		}
		if other.breathless() && ended != text && other.dispossess(path) {
			ended = text
			waiting(other.String() + ", and has been ended")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, hint.Errorf("", "try again when that is done", "the server is being changed by %s", other)
		}
	}
}

// TryLock returns the lock, or what its holder wrote down. The last holder removes the
// file: a lock on a file that is no longer at path is worth nothing.
func TryLock(path string) (*Lock, string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, "", fmt.Errorf("make directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", nil // the directory went between the two calls
	}
	if err != nil {
		return nil, "", fmt.Errorf("open lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, "", errors.Join(fmt.Errorf("read lock: %w", err), f.Close())
		}
		return nil, strings.TrimSpace(string(data)), f.Close()
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	mine, err := f.Stat()
	if err == nil && !mine.Mode().IsRegular() {
		err = fmt.Errorf("%s is no plain file", path)
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("look at lock: %w", err), f.Close())
	}
	if there, err := os.Lstat(path); err != nil || !os.SameFile(mine, there) {
		return nil, "", f.Close()
	}
	return &Lock{file: f, path: path}, "", nil
}

// Sign writes down who holds the lock, and for which change, and goes on to write down
// that the holder breathes.
func (l *Lock) Sign(holder, change string) error {
	text, at := noteOf(holder, change)
	err := l.file.Truncate(0)
	if err == nil {
		_, err = l.file.WriteAt(text, 0)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sign lock: %w", err), l.Release(true))
	}
	l.breath.Begin(Beat, func(int) {
		_, _ = l.file.WriteAt(breathNow(), at) // who cannot write it down is taken for dead, and waited for no longer
	})
	return nil
}

// Release lets the next one in. With last nothing of ours stays in the directory.
func (l *Lock) Release(last bool) error {
	l.breath.End()
	var err error
	if last {
		err = errors.Join(sysfile.Remove(l.path), sysfile.RemoveEmpty(filepath.Dir(l.path)))
	}
	return errors.Join(err, l.file.Close())
}
