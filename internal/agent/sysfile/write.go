//go:build linux

package sysfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// writeTemp writes text to a new file in dir and returns its path, also of a file that it
// could not finish. Durable: the text is on the disk then.
func writeTemp(dir, text string, mode fs.FileMode, durable bool) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf(".flock-%d-%d", unix.Getpid(), time.Now().UnixNano()))
	fd, err := Again(func() (int, error) {
		return unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode.Perm()))
	})
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	err = unix.Fchmod(fd, uint32(mode.Perm())) // whatever the umask is
	for rest := []byte(text); err == nil && len(rest) > 0; {
		var n int
		n, err = Again(func() (int, error) { return unix.Write(fd, rest) })
		rest = rest[max(n, 0):]
	}
	if err == nil && durable {
		_, err = Again(func() (int, error) { return 0, unix.Fsync(fd) })
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return path, &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return path, nil
}

// MakeDir makes a directory of ours, and its parent, where there is none. Everybody may
// look into both, whatever their modes were: dnsmasq, as nobody, reads its files there
// again and again. A secret file has a mode of its own.
func MakeDir(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		_, err := Again(func() (int, error) { return 0, unix.Mkdir(d, 0o755) })
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

// WriteIfOther writes text to path, and makes its directory, unless the file has that text
// already. It says whether it wrote.
func WriteIfOther(path, text string, mode os.FileMode) (bool, error) {
	have, err := ReadIfThere(path)
	if err != nil || have == text {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("make directory: %w", err)
	}
	return true, Write(path, text, mode, false)
}

// Write replaces path in one step: a reader finds the old content or the new. Durable
// says that this holds after a power cut, too, and that the new content is on the disk when
// Write returns. What the next boot writes again does not need to wait for the disk.
func Write(path, text string, mode os.FileMode, durable bool) error {
	temp, err := writeTemp(filepath.Dir(path), text, mode, durable)
	if err == nil {
		if err = os.Rename(temp, path); errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EEXIST) { // a directory in the place of a file of ours
			err = errors.Join(os.RemoveAll(path), os.Rename(temp, path))
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), Remove(temp))
	}
	if durable {
		return SyncDir(filepath.Dir(path))
	}
	return nil
}

// SyncDir waits until what was renamed or removed in dir is on the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// Remove removes those of the files that exist, and directories in their places.
func Remove(paths ...string) error {
	var errs []error
	for _, path := range paths {
		err := os.Remove(path)
		if errors.Is(err, unix.ENOTEMPTY) { // a directory in the place of a file of ours
			err = os.RemoveAll(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove file: %w", err))
		}
	}
	return errors.Join(errs...)
}

// RemoveEmpty removes those of the directories that exist and are empty.
func RemoveEmpty(dirs ...string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) > 0 {
			continue
		}
		if err == nil {
			err = os.Remove(dir)
		}
		if err != nil {
			return fmt.Errorf("remove directory: %w", err)
		}
	}
	return nil
}
