package bgpcmd

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/spec"
)

// readPassword reads the password in a file, without its line end, and makes an id for
// it. The id is random: it tells nothing about the password, and a new one means a new
// password. Without a file there is no password and no id.
func (a *app) readPassword(file string) (id, password string, err error) {
	if file == "" {
		return "", "", nil
	}
	fail := func(next, format string, args ...any) (string, string, error) {
		return "", "", command.Usage(hint.Errorf("file "+file, next, format, args...))
	}
	data, mode, err := a.readSecret(file)
	if err != nil {
		return "", "", command.Usage(hint.With(fmt.Errorf("read the password: %w", err), "file "+file, "--password-file FILE with the password in one line"))
	}
	password = strings.TrimRight(string(data), "\r\n")
	switch {
	case password == "":
		return fail("write the password into it", "the file holds no password")
	case strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fail("--password-file FILE with the password in one line", "the password has more than one line, or control characters")
	case len(password) > spec.BGPPasswordMax:
		return fail(fmt.Sprintf("choose one of %d bytes at most", spec.BGPPasswordMax), "the password has %d bytes, TCP MD5 takes %d", len(password), spec.BGPPasswordMax)
	}
	if mode&0o044 != 0 {
		a.Say("note: others can read %s: %s", file, hint.Shell("chmod", "600", file))
	}
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return "", "", fmt.Errorf("make an id for the password: %w", err)
	}
	return hex.EncodeToString(random), password, nil
}

// maxSecret is more bytes than any password has.
const maxSecret = 4096

func (a *app) readSecret(file string) ([]byte, os.FileMode, error) {
	if file == "-" {
		data, err := plainfile.Limit(a.In, maxSecret)
		return data, 0, err
	}
	data, err := plainfile.ReadPipe(file, maxSecret)
	if err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return data, 0, nil // a pipe of the shell's
	}
	return data, info.Mode().Perm(), nil
}
