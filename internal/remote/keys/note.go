package keys

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/plainfile"
)

// Which key a server took is noted, so that it is offered first: each key that a server refuses
// costs a round trip, and after six it ends the login (sshd_config(5), MaxAuthTries). A note has
// the public key's fingerprint. It changes nothing but the order of the keys that are offered
// anyway, so that one that is stale, damaged or lost costs round trips and nothing else.

// mostNote is how many bytes of a note are read.
const mostNote = 200

// A note that is used is touched now and then; one that nobody used for long is removed when
// another is written.
const (
	noteTouched = 30 * 24 * time.Hour
	noteKept    = 180 * 24 * time.Hour
)

// Noted is the fingerprint in a note; "" if there is none.
func Noted(file string) string {
	text, err := plainfile.Read(file, mostNote)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Note writes the fingerprint of the key that was taken to a note.
func Note(file, fingerprint string) error {
	dir := filepath.Dir(file)
	if info, err := os.Stat(file); err == nil && Noted(file) == fingerprint {
		if time.Since(info.ModTime()) < noteTouched {
			return nil
		}
		return os.Chtimes(file, time.Now(), time.Now())
	}
	entries, _ := os.ReadDir(dir) // it may not be there yet
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > noteKept {
			_ = os.Remove(filepath.Join(dir, e.Name())) // it stays otherwise
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(fingerprint+"\n"), 0o600)
}

// Forget removes a note; mostly there is none. One that cannot be removed changes an order.
func Forget(file string) { _ = os.Remove(file) }
