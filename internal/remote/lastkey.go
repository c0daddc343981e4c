package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path/filepath"
	"slices"

	"github.com/flocknet/flock/internal/remote/keys"
	"golang.org/x/crypto/ssh"
)

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
	at    int  // its place in the order, from 1
}

// PublicKey is called when the server is asked whether it takes the key.
func (o *offer) PublicKey() ssh.PublicKey {
	o.in.asked.Store(int32(o.at))
	return o.AlgorithmSigner.PublicKey()
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
func (l *login) noted(list, locked []ssh.Signer) []ssh.Signer {
	l.note = keys.Noted(l.d.keyNote(l.r))
	var first, others []ssh.Signer
	for i, key := range list {
		known := l.note != "" && ssh.FingerprintSHA256(key.PublicKey()) == l.note && !slices.Contains(locked, key)
		if with, ok := key.(ssh.AlgorithmSigner); ok {
			key = &offer{AlgorithmSigner: with, in: l, first: i == 0}
		}
		if known {
			first = append(first, key)
		} else {
			others = append(others, key)
		}
	}
	all := append(first, others...)
	for i, key := range all {
		if o, ok := key.(*offer); ok {
			o.at = i + 1
		}
	}
	return all
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
	case !o.first:
		err = keys.Note(file, mark)
	case l.note != "":
		keys.Forget(file)
	}
	if err != nil {
		l.d.say(l.r.target, "cannot note which key was taken: %v", err)
	}
}

// Forget removes what is noted of logins to t, which left the cluster.
func (d *Dialer) Forget(ctx context.Context, t Target) {
	if r, err := d.route(ctx, t); err == nil && !t.local() {
		keys.Forget(d.keyNote(r))
	}
}
