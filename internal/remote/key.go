package remote

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flocknet/flock/internal/plainfile"
	"golang.org/x/crypto/ssh"
)

// passphraseTries is how often one passphrase is asked for, as by ssh.
const passphraseTries = 3

// keyFile is one identity file. It is read once, and its passphrase is asked for once,
// for all servers.
type keyFile struct {
	path   string
	load   sync.Once     // makes what is below, up to mu
	pub    ssh.PublicKey // nil if it is encrypted too
	public bool          // there is no private half here
	pem    []byte        // encrypted; nil otherwise
	err    error         // why there is no key here
	locked atomic.Bool   // using it means asking for its passphrase
	typed  atomic.Bool   // its passphrase was typed

	mu     sync.Mutex // guards below; held while the operator is asked
	signer ssh.Signer // nil while locked, or with public
	denied error      // the operator had no passphrase for it
}

func (d *Dialer) keyFile(path string) *keyFile {
	d.mu.Lock()
	k := d.keys[path]
	if k == nil {
		k = &keyFile{path: path}
		if d.keys == nil {
			d.keys = map[string]*keyFile{}
		}
		d.keys[path] = k
	}
	d.mu.Unlock()
	k.load.Do(k.read)
	return k
}

// read reads the file. With a public key alone, the private half is looked for in the
// ssh agent.
func (k *keyFile) read() {
	data, err := plainfile.Read(k.path, plainfile.MostKey)
	if err != nil {
		k.err = err
		if k.pub = publicKey(k.path + ".pub"); k.pub != nil {
			k.err, k.public = nil, true
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
			k.pub = publicKey(k.path + ".pub")
		}
		if k.pub != nil && onToken(k.pub) {
			k.public = true
			k.locked.Store(false)
		}
	default:
		if k.pub, k.public = publicKey(k.path), true; k.pub == nil {
			// A type that cannot be parsed here (a security key's) may be in the agent.
			k.pub = publicKey(k.path + ".pub")
		}
		if k.pub == nil {
			k.err = fmt.Errorf("read key %s: %w", k.path, err)
		}
	}
}

// onToken says that the private half is in a security key (FIDO): the file only has a
// handle, which the ssh agent alone can use.
func onToken(pub ssh.PublicKey) bool { return strings.HasPrefix(pub.Type(), "sk-") }

func publicKey(path string) ssh.PublicKey {
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

// missing says that there is no such file.
func (k *keyFile) missing() bool { return errors.Is(k.err, fs.ErrNotExist) }

// unlock returns the signer, and asks for the passphrase by secret if needed.
func (k *keyFile) unlock(secret func(string) ([]byte, error)) (ssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.signer != nil:
		return k.signer, nil
	case k.denied != nil:
		return nil, k.denied
	case k.public:
		return nil, fmt.Errorf("%w: %s holds no private key", ErrAuth, k.path)
	case secret == nil:
		return nil, fmt.Errorf("%w: key %s has a passphrase and there is no terminal to ask on", ErrAuth, k.path)
	}
	for range passphraseTries {
		phrase, err := secret("passphrase of " + k.path + ": ")
		if err != nil {
			k.denied = fmt.Errorf("%w: ask for the passphrase of %s: %w", ErrAuth, k.path, err)
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
			k.denied = fmt.Errorf("%w: decrypt key %s: %w", ErrAuth, k.path, err)
			return nil, k.denied
		}
	}
	k.denied = fmt.Errorf("%w: the passphrase of %s was wrong %d times", ErrAuth, k.path, passphraseTries)
	return nil, k.denied
}

// patientSigner signs with key. The server's time limit is paused meanwhile: a
// passphrase is typed, or a hardware key waits to be touched.
type patientSigner struct {
	pub   ssh.PublicKey
	key   func() (ssh.Signer, error)
	p     *patience
	onErr func(error) // x/crypto hides a signer's error
}

func (s *patientSigner) PublicKey() ssh.PublicKey { return s.pub }

func (s *patientSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm lets RSA keys sign with SHA-2 (RFC 8332).
func (s *patientSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	defer s.p.pause()()
	signer, err := s.key()
	if err != nil {
		s.onErr(err)
		return nil, err
	}
	var sig *ssh.Signature
	if with, ok := signer.(ssh.AlgorithmSigner); ok {
		sig, err = with.SignWithAlgorithm(rand, data, algorithm)
	} else {
		sig, err = signer.Sign(rand, data)
	}
	if err != nil {
		s.onErr(fmt.Errorf("%w: sign with %s: %w", ErrAuth, s.pub.Type(), err))
	}
	return sig, err
}
