//go:build linux

package sysfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// most is more than any file has that is read whole, in bytes.
const most = 64 << 20

// Read is os.ReadFile in a third of the system calls: it does without the runtime's poller,
// which os asks about every file. It never waits. A file that never ends is an error
// (EFBIG), and so is a pipe whose writer writes nothing (EAGAIN).
func Read(path string) ([]byte, error) {
	var room [common]byte
	data, err := read(path, room[:0])
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(data)), data...), nil
}

// common is more than most files have, in bytes.
const common = 2048

// read reads a file into room, or into new memory where that is too small. Room is on the
// caller's stack: a session reads dozens of files, and memory that nothing was in yet is
// dear (a page fault per 4 KB).
func read(path string, room []byte) ([]byte, error) {
	fd, err := openToRead(path, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // only read
	for data := room; ; {
		n, err := Again(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; len(data) == cap(data) {
			if len(data) >= most {
				return nil, &fs.PathError{Op: "read", Path: path, Err: unix.EFBIG}
			}
			data = append(data, make([]byte, len(data))...)[:len(data)]
		}
	}
}

// openToRead does not wait where a pipe is in the place of a file. What lies below a file
// does not exist for it: whoever wants to write there finds the file.
func openToRead(path string, flags int) (int, error) {
	fd, err := Again(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|flags, 0) })
	if err == unix.ENOTDIR { //nolint:errorlint // a system call's own
		err = unix.ENOENT
	}
	return fd, err
}

// Names lists what is in a directory, in no order. One that does not exist is an error.
func Names(dir string) ([]string, error) {
	fd, err := openToRead(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // only read
	var names []string
	for buf := make([]byte, 4096); ; {
		n, err := Again(func() (int, error) { return unix.ReadDirent(fd, buf) })
		if err != nil {
			return nil, &fs.PathError{Op: "readdirent", Path: dir, Err: err}
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// Again repeats a system call that a signal interrupted, and returns its result.
func Again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR { //nolint:errorlint // a system call's own
			return n, err
		}
	}
}

// List returns the sorted paths of the files in dir whose names begin and end so, none where
// dir does not exist. It makes fewer system calls than filepath.Glob.
func List(dir, begin, end string) ([]string, error) {
	names, err := Names(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, begin); ok && strings.HasSuffix(rest, end) {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out, nil
}

// ReadIfThere returns the content of a file, "" where there is none. Where a directory, a
// link to itself or a socket is in its place it returns what no file of ours contains.
func ReadIfThere(path string) (string, error) {
	var room [common]byte
	data, err := read(path, room[:0])
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return noText, nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(data), nil
}

// Exists says whether path exists, or may: what cannot be looked at counts as there, and
// whoever reads or removes it next gets the error. It is called in so many places that a
// copy in each is 16 KB of the agent.
//
//go:noinline
func Exists(path string) bool {
	var st unix.Stat_t // os.Stat's is on the heap
	_, err := Again(func() (int, error) { return 0, unix.Stat(path, &st) })
	return err != unix.ENOENT && err != unix.ENOTDIR //nolint:errorlint // a system call's own
}

// Version tells a file, and what is in it, from what was there before: where one is written
// anew or replaced, it is another. The zero Version is that of no file.
type Version [5]int64

// VersionOf is that of the file at path now, for one system call where reading takes five.
func VersionOf(path string) Version {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return Version{}
	}
	return Version{int64(st.Dev), int64(st.Ino), st.Size, st.Mtim.Nano(), st.Ctim.Nano()} //nolint:gosec // they are only compared
}

// Size is that of the file, in bytes.
func (v *Version) Size() int64 { return v[2] }

// noText is what ReadIfThere returns where no file can be read. We never write it, so the
// file is written anew.
const noText = "\x00"
