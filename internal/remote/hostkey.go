package remote

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// known returns what r's known_hosts files say, read once.
func (d *Dialer) known(r *route) (hostkeys.Known, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := strings.Join(r.Known, "\x00")
	if k, ok := d.knownFiles[files]; ok {
		return k, nil
	}
	k, err := hostkeys.Read(r.Known)
	if err != nil {
		return nil, err
	}
	if d.knownFiles == nil {
		d.knownFiles = map[string]hostkeys.Known{}
	}
	d.knownFiles[files] = k
	return k, nil
}

// checkHostKey decides whether the server at the end of r is the right one. It may ask
// the operator, and waits for the answer without a time limit.
func (d *Dialer) checkHostKey(r *route, p *patience, key ssh.PublicKey) error {
	known, err := d.known(r)
	if err != nil {
		return err
	}
	if err = hostkeys.CheckRevoked(r.Revoked, key); err == nil {
		err = known.Check(r.KeyName, key)
	}
	if errors.Is(err, ErrHostKeyUnknown) && r.formerly != "" && known.Check(r.formerly, key) == nil {
		d.say(r.target, "its key is the one that is known of %s", r.formerly)
		return d.learn(r, hostkeys.Bare(key))
	}
	if errors.Is(err, ErrHostKeyUnknown) {
		err = d.meet(r, p, hostkeys.Bare(key), err)
	}
	var changed *hostkeys.ChangedError
	switch {
	case errors.As(err, &changed):
		return hint.With(err, r.target.where(), "find out why; if the server was made anew: "+
			hint.Shell("ssh-keygen", "-R", knownhosts.Normalize(r.KeyName), "-f", changed.File()))
	case errors.Is(err, ErrHostKeyChanged):
		return hint.With(err, r.target.where(), "do not use this server before its key is replaced")
	case errors.Is(err, ErrHostKeyUnknown):
		return hint.With(err, r.target.where(), "compare the fingerprint, then: "+d.command()+" --accept-new")
	}
	return err
}

// meet accepts the key of a server not seen before, or returns unknown, the reason why
// not. One question is asked at a time.
func (d *Dialer) meet(r *route, p *patience, key ssh.PublicKey, unknown error) error {
	defer p.pause()()
	d.meeting.Lock()
	defer d.meeting.Unlock()
	known, err := d.known(r)
	if err != nil {
		return err
	}
	// Another dial may have learned it while this one waited.
	if err := known.Check(r.KeyName, key); !errors.Is(err, ErrHostKeyUnknown) {
		return err
	}
	mark := ssh.FingerprintSHA256(key)
	if !d.AcceptNew && r.Strict != "accept-new" && r.Strict != "no" && r.Strict != "off" {
		if d.Ask == nil || r.Strict == "yes" || r.target.Quiet {
			return unknown
		}
		ok, askErr := d.Ask(fmt.Sprintf("%s (%s) shows the unknown %s key %s; take it?", r.target.Name, r.Addr(), key.Type(), mark))
		if askErr != nil {
			return fmt.Errorf("%w: %w", unknown, askErr)
		}
		if !ok {
			return fmt.Errorf("%w and was not taken", unknown)
		}
	}
	if err := d.learn(r, key); err != nil {
		return err
	}
	d.say(r.target, "took the new %s key %s", key.Type(), mark)
	return nil
}

// learn appends key to the first of the user's own known_hosts files, by one write of
// one line in append mode: other programs may append at the same time.
func (d *Dialer) learn(r *route, key ssh.PublicKey) error {
	if len(r.UserKnown) == 0 {
		return nil // UserKnownHostsFile none: accepted for this run only
	}
	file := r.UserKnown[0]
	name := strings.ToLower(knownhosts.Normalize(r.KeyName))
	line := knownhosts.Line([]string{name}, key)
	if r.Hashing {
		line = knownhosts.HashHostname(name) + strings.TrimPrefix(line, name)
	}
	if err := hostkeys.Append(file, line); err != nil {
		return hint.With(fmt.Errorf("%w: remember host key: %w", ErrConfig, err), file, hint.Shell("ls", "-ld", filepath.Dir(file), file))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.knownFiles) // the next one reads them again
	return nil
}
