package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// writeFile writes data to path so that after a crash, of the program or of the machine,
// either the old or the new file is there. The caller holds the lock: the name of the
// unfinished file is always the same, and the next save replaces what a killed program
// left. Its mode is 0600; it belongs to the owner of the file like, so that a flock
// under sudo does not take it away from its user.
func writeFile(path string, data []byte, like string) error {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeTemp(temp, like, data); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	return syncDir(filepath.Dir(path))
}

func writeTemp(temp, like string, data []byte) error {
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = preserveOwner(f, like)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// preserveOwner gives a file that root writes to the owner of the file like or, if there
// is none, of the directory that it will be in: a flock under sudo must not take files
// away from their user.
func preserveOwner(f *os.File, like string) error {
	uid, gid, err := ownerOf(like)
	if err != nil || uid == 0 {
		return err
	}
	return f.Chown(uid, gid)
}

// ownerOf is the owner of path, or of the nearest directory above it that exists; 0 if
// this program is not root, whose files are its own anyway.
func ownerOf(path string) (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		return ownerOf(filepath.Dir(path))
	}
	if err != nil {
		return 0, 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid), nil
	}
	return 0, 0, nil
}

// makeDir makes dir and the directories above it that are missing, mode 0700, for the
// owner of the file like or, if there is none, of the directory that exists.
func makeDir(dir, like string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	uid, gid, err := ownerOf(like)
	if err != nil {
		return err
	}
	if above := filepath.Dir(dir); above != dir {
		if err := makeDir(above, like); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
			return nil // another flock was faster
		}
		return err
	}
	if uid == 0 {
		return nil
	}
	return os.Lchown(dir, uid, gid)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // some network file systems cannot do that; the rename is done
	}
	return errors.Join(err, d.Close())
}

// resolve follows symbolic links to the file itself, which need not exist: links stay,
// and all links to one file share its lock and history.
func resolve(path string) (string, error) {
	const most = 40 // as the kernel's ELOOP
	for range most {
		target, err := os.Readlink(path)
		switch {
		case err == nil && filepath.IsAbs(target):
			path = target
		case err == nil:
			path = filepath.Join(filepath.Dir(path), target)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EINVAL): // nothing there, or no link
			return filepath.Abs(path)
		default:
			return "", err
		}
	}
	return "", fmt.Errorf("follow %s: %w", path, unix.ELOOP)
}
