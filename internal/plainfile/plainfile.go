// Package plainfile reads whole files of the operator: regular files only, up to a limit.
// A name in a cluster file, in ssh's config or in a directory may be a device that never
// ends or a pipe that nobody writes to.
//
// It does not know what is in the files.
package plainfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Bounds in bytes of what is read, far above what is in use.
const (
	MostCluster = 64 << 20 // a cluster file: 10,000 servers take some 10 MB
	MostKey     = 1 << 20  // a key file, as OpenSSH has it (MAX_KEY_FILE_SIZE)
	MostConfig  = 16 << 20 // ssh's config
	MostKnown   = 64 << 20 // known_hosts, lists of revoked keys
)

// Errors that what is there cannot be read as a plain file.
var (
	ErrNotRegular = errors.New("not a plain file")
	ErrTooLarge   = errors.New("too large")
)

// Read returns what is in the plain file at path. The null device is an empty one, as
// programs have it that take a file's name. It never waits.
func Read(path string, most int64) ([]byte, error) { return read(path, most, false) }

// ReadPipe is Read, and takes a pipe too: of the shell's (<(command)), for what was named
// on the command line. One that is empty, or that nobody has open for writing, is an error.
func ReadPipe(path string, most int64) ([]byte, error) { return read(path, most, true) }

func read(path string, most int64, pipe bool) (data []byte, err error) {
	// Without the flag, to open a pipe waits for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(info, pipe); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	if info.Mode().IsRegular() && info.Size() > most {
		return nil, &fs.PathError{Op: "read", Path: path, Err: tooLarge(most)}
	}
	data, err = io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > most:
		return nil, &fs.PathError{Op: "read", Path: path, Err: tooLarge(most)}
	case len(data) == 0 && info.Mode()&fs.ModeNamedPipe != 0:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("nothing comes out of the pipe")}
	}
	return data, nil
}

// Limit returns what is left in r.
func Limit(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		err = tooLarge(most)
	}
	return data, err
}

func tooLarge(most int64) error { return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most) }

func check(info fs.FileInfo, pipe bool) error {
	mode := info.Mode()
	switch {
	case mode.IsRegular(), pipe && mode&fs.ModeNamedPipe != 0, isNull(info):
		return nil
	case mode.IsDir():
		return syscall.EISDIR
	case mode&fs.ModeNamedPipe != 0:
		return fmt.Errorf("it is a pipe: %w", ErrNotRegular)
	case mode&fs.ModeDevice != 0:
		return fmt.Errorf("it is a device: %w", ErrNotRegular)
	}
	return ErrNotRegular
}

// isNull says that it is the null device, under whatever name.
func isNull(info fs.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && info.Mode()&fs.ModeCharDevice != 0 && os.SameFile(info, null)
}
