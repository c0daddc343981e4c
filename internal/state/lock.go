package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"golang.org/x/sys/unix"
)

// Holder is who holds the lock of a cluster file.
type Holder struct {
	PID     int
	User    string
	Command string
	Since   time.Time // UTC
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "another flock"
	}
	return fmt.Sprintf("pid %d (%s: %s) since %s", h.PID, h.User, h.Command, h.Since.Local().Format(time.DateTime))
}

// lockPoll is the pause between attempts to lock: a blocking flock(2) does not end with
// a context.
const lockPoll = 20 * time.Millisecond

// lockFile takes flock(2) on FILE.lock, and waits for it until ctx ends. The kernel
// releases it with the last descriptor, so that a killed program leaves no lock behind.
// The lock's file stays: after its removal, two programs could lock two different files.
func lockFile(ctx context.Context, file, command string, waiting func(Holder)) (*os.File, error) {
	path := file + ".lock"
	f, err := openLock(path, file)
	if err != nil {
		return nil, explainAccess("lock", path, err)
	}
	if err := waitLock(ctx, f, waiting); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := sign(f, command); err != nil {
		return nil, errors.Join(fmt.Errorf("sign lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// openLock opens the lock of file, or makes it for the owner of file. It refuses
// anything but a regular file with one name: root would write to, or give away, a file
// that somebody else put there.
func openLock(path, file string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return nil, errors.Join(errors.New("it is no plain file of its own"), f.Close())
	}
	if st.Uid == 0 {
		if err := preserveOwner(f, file); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func waitLock(ctx context.Context, f *os.File, waiting func(Holder)) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if waiting != nil {
			waiting(holderOf(f))
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return hint.With(fmt.Errorf("lock %s: held by %s: %w", f.Name(), holderOf(f), context.Cause(ctx)),
				f.Name(), "wait for it to end, then try again")
		case <-tick.C:
		}
	}
}

// holderOf reads who signed a lock. Right after it was taken nobody has.
func holderOf(f *os.File) Holder {
	var h Holder
	if json.NewDecoder(io.NewSectionReader(f, 0, 4096)).Decode(&h) != nil {
		return Holder{}
	}
	return h
}

func sign(f *os.File, command string) error {
	b, err := json.Marshal(Holder{os.Getpid(), userName(), command, time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// explainAccess adds what to do about a file or directory that cannot be used.
func explainAccess(verb, path string, err error) error {
	next := ""
	switch {
	case errors.Is(err, unix.EROFS):
		next = "use --state FILE or FLOCK_STATE with a file on a writable file system"
	case errors.Is(err, os.ErrPermission):
		next = hint.Shell("ls", "-ld", filepath.Dir(path), path) + " ; or use --state FILE"
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTDIR):
		next = "use --state FILE or FLOCK_STATE with the name of a file"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		next = "make room: " + hint.Shell("df", filepath.Dir(path))
	}
	var at *fs.PathError
	if errors.As(err, &at) && at.Path == path {
		err = at.Err // the message has the path already
	}
	return hint.With(fmt.Errorf("%s cluster file %s: %w", verb, path, err), path, next)
}
