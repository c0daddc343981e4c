//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// slurpMost is more than any file has that is read whole, in bytes.
const slurpMost = 64 << 20

// slurp is os.ReadFile in a third of the system calls: nothing here is waited for,
// so that the runtime's poller, which os asks about every file, has no say. A file that
// never ends is an error, and so is a pipe whose writer keeps silent.
func slurp(path string) ([]byte, error) {
	fd, err := openToRead(path, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // only read
	data := make([]byte, 0, 2048)
	for {
		n, err := again(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; len(data) == cap(data) {
			if len(data) >= slurpMost {
				return nil, &fs.PathError{Op: "read", Path: path, Err: unix.EFBIG}
			}
			data = append(data, make([]byte, len(data))...)[:len(data)]
		}
	}
}

// openToRead waits for nobody where a pipe is in a file's place. It says of what lies below a file that it is not there: a plan names the
// file (claimDir) when it comes to write.
func openToRead(path string, flags int) (int, error) {
	fd, err := again(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|flags, 0) })
	if err == unix.ENOTDIR { //nolint:errorlint // a system call's own
		err = unix.ENOENT
	}
	return fd, err
}

// namesIn lists what is in a directory, in no order.
func namesIn(dir string) ([]string, error) {
	fd, err := openToRead(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // only read
	var names []string
	for buf := make([]byte, 4096); ; {
		n, err := again(func() (int, error) { return unix.ReadDirent(fd, buf) })
		if err != nil {
			return nil, &fs.PathError{Op: "readdirent", Path: dir, Err: err}
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// spill writes text to a new file in dir and returns its path, also of a file that it
// could not finish. Durable: the text is on the disk then.
func spill(dir, text string, mode fs.FileMode, durable bool) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf(".flock-%d-%d", unix.Getpid(), time.Now().UnixNano()))
	fd, err := again(func() (int, error) {
		return unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode.Perm()))
	})
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	err = unix.Fchmod(fd, uint32(mode.Perm())) // whatever the umask is
	for rest := []byte(text); err == nil && len(rest) > 0; {
		var n int
		n, err = again(func() (int, error) { return unix.Write(fd, rest) })
		rest = rest[max(n, 0):]
	}
	if err == nil && durable {
		_, err = again(func() (int, error) { return 0, unix.Fsync(fd) })
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return path, &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return path, nil
}

// makeDir makes a directory of ours, and its parent, where there is none. Both are for
// everybody to look into, whatever they were: dnsmasq, as nobody, reads its files there
// again and again. What is secret has a mode of its own.
func makeDir(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		_, err := again(func() (int, error) { return 0, unix.Mkdir(d, 0o755) })
		var st unix.Stat_t
		if err == nil || errors.Is(err, unix.EEXIST) {
			err = unix.Stat(d, &st)
		}
		if err == nil && st.Mode&0o777 != 0o755 && st.Mode&unix.S_ISVTX == 0 {
			err = unix.Chmod(d, 0o755)
		}
		if err != nil {
			return fmt.Errorf("make directory: %w", &fs.PathError{Op: "mkdir", Path: d, Err: err})
		}
	}
	return nil
}

// again repeats a system call that a signal cut short.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR { //nolint:errorlint // a system call's own
			return n, err
		}
	}
}

// pipe writes to a file descriptor. That nobody reads any more is an error like
// others: os would end the process where it is the standard output.
type pipe struct {
	fd   int
	gone *atomic.Bool // nobody is there to read: nothing is waited for
}

// goneWithin is how soon, in milliseconds, somebody who waits to write notices gone.
const goneWithin = 500

// Write writes all of b.
func (p pipe) Write(b []byte) (int, error) {
	if p.gone.Load() {
		return 0, fmt.Errorf("write: %w", unix.EPIPE)
	}
	for done := 0; ; {
		n, err := again(func() (int, error) { return unix.Write(p.fd, b[done:]) })
		done += max(n, 0)
		if err == unix.EAGAIN { //nolint:errorlint // a system call's own
			_, err = again(func() (int, error) {
				return unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLOUT}}, goneWithin)
			})
			if p.gone.Load() {
				err = unix.EPIPE
			}
		}
		if err != nil {
			return done, fmt.Errorf("write: %w", err)
		}
		if done == len(b) {
			return done, nil
		}
	}
}
