package hostkeys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/flocknet/flock/internal/plainfile"
)

// Append adds a line to a known_hosts file by one write in append mode: other programs may append
// at the same time. The file is made where it is missing.
func Append(file, line string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return plainfile.ErrNotRegular
	}
	// A file edited by hand may lack its last newline.
	last := []byte{'\n'}
	if st.Mode().IsRegular() && st.Size() > 0 {
		if _, err := f.ReadAt(last, st.Size()-1); err != nil {
			return err
		}
	}
	if last[0] != '\n' {
		line = "\n" + line
	}
	_, err = f.WriteString(line + "\n")
	return err
}
