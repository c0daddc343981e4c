package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/plainfile"
	"golang.org/x/crypto/ssh"
)

// Which key a server took is noted, so that it is offered first: each key that a server refuses
// costs a round trip, and after six it ends the login (sshd_config(5), MaxAuthTries). A note has
// the public key's fingerprint. It changes nothing but the order of the keys that are offered
// anyway, so that one that is stale, damaged or lost costs round trips and nothing else.

// mostNote is how many bytes of a note are read.
const mostNote = 200

// keyNote is the file of the note for logins by r; "" if there is none.
func (d *Dialer) keyNote(r *route) string {
	if d.Control == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(r.ID()))
	return filepath.Join(filepath.Dir(d.Control), "keys", hex.EncodeToString(sum[:8]))
}

// offer is a key that is offered to a server.
type offer struct {
	ssh.AlgorithmSigner
	in    *login
	first bool // it would be the first without a note, too
}

// Sign is called for a key that the server takes.
func (o *offer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	o.in.signed.Store(o)
	return o.AlgorithmSigner.Sign(rand, data)
}

// SignWithAlgorithm is Sign.
func (o *offer) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	o.in.signed.Store(o)
	return o.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

// noted puts the key that the note names first, unless it is one of locked, for which somebody
// would be asked.
func (l *login) noted(keys, locked []ssh.Signer) []ssh.Signer {
	text, err := plainfile.Read(l.d.keyNote(l.r), mostNote)
	if err == nil {
		l.note = strings.TrimSpace(string(text))
	}
	var first, others []ssh.Signer
	for i, key := range keys {
		known := l.note != "" && ssh.FingerprintSHA256(key.PublicKey()) == l.note && !slices.Contains(locked, key)
		if with, ok := key.(ssh.AlgorithmSigner); ok {
			key = &offer{with, l, i == 0}
		}
		if known {
			first = append(first, key)
		} else {
			others = append(others, key)
		}
	}
	return append(first, others...)
}

// remember notes the key that the server took, if another one would come first without a note.
func (l *login) remember() {
	o, file := l.signed.Load(), l.d.keyNote(l.r)
	if o == nil || file == "" {
		return
	}
	mark := ssh.FingerprintSHA256(o.PublicKey())
	var err error
	switch {
	case o.first && l.note != "":
		err = os.Remove(file)
	case !o.first && l.note != mark:
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = os.WriteFile(file, []byte(mark+"\n"), 0o600)
		}
	}
	if err != nil {
		l.d.say(l.r.target, "cannot note which key was taken: %v", err)
	}
}
