package keys

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flocknet/flock/internal/plainfile"
	"golang.org/x/crypto/ssh"
)

// passphraseTries is how often one passphrase is asked for, as by ssh.
const passphraseTries = 3

// ErrRefused means that a login fails, here for want of a usable key.
var ErrRefused = errors.New("login refused")

// File is one identity file. Its passphrase is asked for once, for all servers. Its methods may be
// called concurrently.
type File struct {
	Path string // of the file

	pub    ssh.PublicKey // nil if it is encrypted too
	half   bool          // there is no private half here
	pem    []byte        // encrypted; nil otherwise
	err    error         // why there is no key here
	locked atomic.Bool   // using it means asking for its passphrase
	typed  atomic.Bool   // its passphrase was typed

	mu     sync.Mutex // guards below; held while the operator is asked
	signer ssh.Signer // nil while locked, or with half
	denied error      // the operator had no passphrase for it
}

// Open reads the file at path.
func Open(path string) *File {
	k := &File{Path: path}
	k.read()
	return k
}

// Err is why there is no key in the file; nil: there is one.
func (k *File) Err() error { return k.err }

// Public is its public half; nil where that is encrypted, too, and not beside it.
func (k *File) Public() ssh.PublicKey { return k.pub }

// Half says that the private half is not in the file: an ssh agent may have it.
func (k *File) Half() bool { return k.half }

// Locked says that using it means asking for its passphrase.
func (k *File) Locked() bool { return k.locked.Load() }

// Typed says that its passphrase was typed.
func (k *File) Typed() bool { return k.typed.Load() }

// read reads the file. With a public key alone, the private half is looked for in the
// ssh agent.
func (k *File) read() {
	data, err := plainfile.Read(k.Path, plainfile.MostKey)
	if err != nil {
		k.err = err
		if k.pub = ReadPublic(k.Path + ".pub"); k.pub != nil {
			k.err, k.half = nil, true
		}
		return
	}
	var missing *ssh.PassphraseMissingError
	signer, err := ssh.ParsePrivateKey(data)
	switch {
	case err == nil:
		k.signer, k.pub = signer, signer.PublicKey()
	case errors.As(err, &missing):
		k.pem, k.pub = data, missing.PublicKey
		k.locked.Store(true)
		if k.pub == nil {
			k.pub = ReadPublic(k.Path + ".pub")
		}
		if k.pub != nil && OnToken(k.pub) {
			k.half = true
			k.locked.Store(false)
		}
	default:
		if k.pub, k.half = ReadPublic(k.Path), true; k.pub == nil {
			// A type that cannot be parsed here (a security key's) may be in the agent.
			k.pub = ReadPublic(k.Path + ".pub")
		}
		if k.pub == nil {
			k.err = fmt.Errorf("read key %s: %w", k.Path, err)
		}
	}
}

// OnToken says that the private half is in a security key (FIDO): the file only has a
// handle, which the ssh agent alone can use.
func OnToken(pub ssh.PublicKey) bool { return strings.HasPrefix(pub.Type(), "sk-") }

// ReadPublic is the public key in a file, or the certificate; nil if there is none.
func ReadPublic(path string) ssh.PublicKey {
	data, err := plainfile.Read(path, plainfile.MostKey)
	if err != nil {
		return nil
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return pub
}

// Missing says that there is no such file.
func (k *File) Missing() bool { return errors.Is(k.err, fs.ErrNotExist) }

// Unlock returns the signer, and asks for the passphrase by secret if needed.
func (k *File) Unlock(secret func(string) ([]byte, error)) (ssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.signer != nil:
		return k.signer, nil
	case k.denied != nil:
		return nil, k.denied
	case k.half:
		return nil, fmt.Errorf("%w: %s holds no private key", ErrRefused, k.Path)
	case secret == nil:
		return nil, fmt.Errorf("%w: key %s has a passphrase and there is no terminal to ask on", ErrRefused, k.Path)
	}
	for range passphraseTries {
		phrase, err := secret("passphrase of " + k.Path + ": ")
		if err != nil {
			k.denied = fmt.Errorf("%w: ask for the passphrase of %s: %w", ErrRefused, k.Path, err)
			return nil, k.denied
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, phrase)
		clear(phrase)
		if err == nil {
			k.signer = signer
			k.locked.Store(false)
			k.typed.Store(true)
			return signer, nil
		}
		if !errors.Is(err, x509.IncorrectPasswordError) {
			k.denied = fmt.Errorf("%w: decrypt key %s: %w", ErrRefused, k.Path, err)
			return nil, k.denied
		}
	}
	k.denied = fmt.Errorf("%w: the passphrase of %s was wrong %d times", ErrRefused, k.Path, passphraseTries)
	return nil, k.denied
}
