package remote

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/hostkeys"
	"github.com/flocknet/flock/internal/remote/keys"
	"golang.org/x/crypto/ssh"
)

// keyFile is the identity file at path. It is read once.
func (d *Dialer) keyFile(path string) *keys.File {
	return once(d, &d.keys, path, func() *keys.File { return keys.Open(path) })
}

// held is what one ssh agent said when it was asked for its keys.
type held struct {
	signers []ssh.Signer
	err     error
}

// sshAgent asks the ssh agent at a socket for its keys, once.
func (d *Dialer) sshAgent(socket string) held {
	return once(d, &d.sshAgents, socket, func() (h held) {
		h.signers, h.err = keys.OfAgent(socket)
		return h
	})
}

// once is what find finds of name: it is called by the first who asks.
func once[T any](d *Dialer, all *map[string]func() T, name string, find func() T) T {
	d.mu.Lock()
	if *all == nil {
		*all = map[string]func() T{}
	}
	if (*all)[name] == nil {
		(*all)[name] = sync.OnceValue(find)
	}
	find = (*all)[name]
	d.mu.Unlock()
	return find()
}

// AgentKeys is how many keys the ssh agent at a socket offers; 0 where there is none.
func AgentKeys(socket string) int {
	if socket == "" {
		return 0
	}
	signers, _ := keys.OfAgent(socket) // one that does not answer offers none
	return len(signers)
}

// login collects the keys to offer to one server.
type login struct {
	d *Dialer
	r *route
	p *patience

	note   string                // what is noted of the last login; "": nothing
	signed atomic.Pointer[offer] // the key that signed last
	asked  atomic.Int32          // how many keys the server was asked about
	byHand atomic.Bool           // the last key that signed took a person: a passphrase was typed, or it is on a token

	questions int // of the server, so far

	mu  sync.Mutex
	err error // why a key that was wanted could not be used
}

func (l *login) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *login) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// signers returns the keys to offer, in order: the one that the server took last, identities that were asked for and need
// no passphrase, the agent's keys, ssh's default files, and last those that need a
// passphrase. A server ends a login after about six keys (sshd_config(5), MaxAuthTries):
// a key that was asked for must come before the many of an agent.
func (l *login) signers() ([]ssh.Signer, error) {
	held := l.agent()
	var named, defaults, locked []ssh.Signer
	for _, path := range l.r.Identities {
		k := l.d.keyFile(path)
		s, ask, err := l.identity(k, held)
		switch {
		case err != nil && l.r.target.Identity != "" && path == l.r.Identities[0]:
			l.fail(err)
			return nil, err
		case err != nil:
			if !k.Missing() {
				l.d.say(l.r.target, "%v", err)
			}
		case ask:
			locked = append(locked, s)
		case l.r.Named:
			named = append(named, s)
		default:
			defaults = append(defaults, s)
		}
	}
	if l.r.Only {
		held = nil
	}
	all := unique(slices.Concat(named, held, defaults, locked))
	return l.noted(append(l.certified(all), all...), locked), nil
}

// agent returns the keys that the ssh agent holds.
func (l *login) agent() []ssh.Signer {
	if l.r.Agent == "" {
		return nil
	}
	a := l.d.sshAgent(l.r.Agent)
	if a.err != nil {
		l.d.say(l.r.target, "%v", a.err)
		return nil
	}
	out := make([]ssh.Signer, len(a.signers))
	for i, s := range a.signers {
		out[i] = l.patient(s.PublicKey(), func() (ssh.Signer, error) {
			l.byHand.Store(keys.OnToken(s.PublicKey()))
			return s, nil
		})
	}
	return out
}

func (l *login) patient(pub ssh.PublicKey, key func() (ssh.Signer, error)) ssh.Signer {
	return &patientSigner{pub: pub, key: key, p: l.p, onErr: l.fail}
}

// identity returns the signer for a key file. If the agent has the key, its signer is
// used: that needs no passphrase. ask says that using the key means asking for its
// passphrase.
func (l *login) identity(k *keys.File, held []ssh.Signer) (s ssh.Signer, ask bool, err error) {
	if k.Err() != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrAuth, k.Err())
	}
	unlock := func() (ssh.Signer, error) {
		signer, err := k.Unlock(l.d.secret())
		l.byHand.Store(k.Typed())
		return signer, err
	}
	pub := k.Public()
	if pub == nil { // an old format that encrypts the public half too
		if !l.r.Named {
			return nil, false, fmt.Errorf("%w: %s is encrypted and has no .pub beside it", ErrAuth, k.Path)
		}
		defer l.p.pause()()
		signer, err := unlock()
		if err != nil {
			return nil, false, err
		}
		pub = signer.PublicKey()
	}
	for _, h := range held {
		if hostkeys.Same(h.PublicKey(), pub) {
			return h, false, nil
		}
	}
	if k.Half() {
		return nil, false, fmt.Errorf("%w: %s has only the public half, and the ssh agent does not have the other", ErrAuth, k.Path)
	}
	return l.patient(pub, unlock), k.Locked(), nil
}

// certified returns signers with certificates: those beside identity files
// (FILE-cert.pub) and those of CertificateFile, whose key is among all.
func (l *login) certified(all []ssh.Signer) []ssh.Signer {
	var out []ssh.Signer
	files := slices.Clone(l.r.Certificates)
	for _, path := range l.r.Identities {
		files = append(files, path+"-cert.pub")
	}
	for _, file := range files {
		cert, ok := keys.ReadPublic(file).(*ssh.Certificate)
		if !ok {
			if slices.Contains(l.r.Certificates, file) {
				l.d.say(l.r.target, "%s holds no certificate", file)
			}
			continue
		}
		for _, s := range all {
			if with, err := ssh.NewCertSigner(cert, s); err == nil {
				out = append(out, with)
				break
			}
		}
	}
	return out
}

func unique(list []ssh.Signer) []ssh.Signer {
	var out []ssh.Signer
	for _, s := range list {
		if !slices.ContainsFunc(out, func(o ssh.Signer) bool { return hostkeys.Same(o.PublicKey(), s.PublicKey()) }) {
			out = append(out, s)
		}
	}
	return out
}

// keyAdvice is what to do about a refused login by r; early: the right key may not have been
// offered.
func (d *Dialer) keyAdvice(r *route, early bool) string {
	key := "your public key"
	for _, path := range r.Identities {
		if _, err := os.Stat(path); err == nil {
			key = hint.Shell(path)
			break
		}
	}
	next := "ssh-copy-id -i " + key + " " + hint.Shell(r.Words()...)
	switch by := r.target.behind != "" || !d.NamesKey; {
	case early && by:
		return "name its key as IdentityFile in ssh's config: that is offered first"
	case early:
		return "name the key, which is offered first: " + d.command() + " -i KEYFILE"
	case by:
		return next + ", or name its key as IdentityFile in ssh's config"
	}
	return next + ", or name the key: " + d.command() + " -i KEYFILE"
}
