//go:build linux

package unit

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/hint"
)

// A daemon that does not start says why, to a journal on its server or to nobody. Its
// last words belong into the error, which is read on a workstation.

const (
	wordsWithin = 3 * time.Second // to find them
	wordsMost   = 400             // bytes
)

// lastWords are what text ends with: its last lines, each of them once, on one line.
func lastWords(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "dnsmasq: ")
		// dnsmasq says what it says to its standard error and to syslog.
		if line != "" && line != "FAILED to start up" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for len(lines) > 1 && len(strings.Join(lines, "; ")) > wordsMost {
		lines = lines[1:]
	}
	words := strings.Join(lines, "; ")
	return strings.ToValidUTF8(words[max(0, len(words)-wordsMost):], "")
}

// journalOf is what the processes of a unit said since; "" if that cannot be found out.
func journalOf(ctx context.Context, unit string, since time.Time) string {
	ctx, cancel := context.WithTimeout(ctx, wordsWithin)
	defer cancel()
	_ = Run(ctx, "journalctl", "--sync") // what was said may still be under way
	out, err := exec.CommandContext(ctx, "journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=10",
		"--since=@"+strconv.FormatInt(since.Unix(), 10), "_SYSTEMD_UNIT="+unit).Output()
	if err != nil {
		return ""
	}
	return lastWords(string(out))
}

// unitError explains why unit, whose start began at since, did not start.
func unitError(ctx context.Context, unit string, since time.Time, err error) error {
	if said := journalOf(ctx, unit, since); said != "" {
		return hint.Errorf("", "journalctl -u "+unit, "start %s: it said: %s", unit, said)
	}
	return hint.With(fmt.Errorf("start %s: %w", unit, err), "", "journalctl -u "+unit)
}

const memfdName = "flock-last-words"

// listen gives a daemon that nobody else hears a standard error: a file in memory
// that goes with the last who has it open. The daemon lets go of it when it is ready.
func listen() (*os.File, error) {
	fd, err := unix.MemfdCreate(memfdName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), memfdName), nil
}

// heard are the last words in a file of listen's.
func heard(f *os.File) string {
	const most = 4096
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return ""
	}
	return lastWords(string(text))
}

// unheard is for the daemon: from now on what it says goes nowhere, if it went to a
// file of listen's, which would grow in memory for as long as the daemon lives.
func unheard() error {
	to, err := os.Readlink("/proc/self/fd/2")
	if err != nil || !strings.HasPrefix(to, "/memfd:"+memfdName) {
		return nil //nolint:nilerr // it goes where somebody wanted it to go
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("let go of the standard error: %w", err)
	}
	defer func() { _ = null.Close() }() // nothing was written
	if err := unix.Dup3(int(null.Fd()), 2, 0); err != nil {
		return fmt.Errorf("let go of the standard error: %w", err)
	}
	return nil
}
