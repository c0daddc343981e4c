package hostkeys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/sshconfig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Errors of Check.
var (
	// ErrUnknown means that no known_hosts file has a key of the server.
	ErrUnknown = errors.New("host key is not known")
	// ErrChanged means that the server showed another key than the known one, or a revoked one.
	ErrChanged = errors.New("host key has changed")
)

// line is one key of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
type line struct {
	file   string
	line   int
	marker string // "", markCA or markRevoked
	hosts  []string
	key    ssh.PublicKey
}

const (
	markCA      = "cert-authority"
	markRevoked = "revoked"
)

func (l *line) place() string { return fmt.Sprintf("%s:%d", l.file, l.line) }

// Known is what a set of known_hosts files says. The package knownhosts has two
// faults here: one line that it cannot parse fails the whole file, where ssh skips the
// line; and it lists the authorities of a host among its keys, so that a new host below
// an authority seems changed.
type Known []line

// Read reads files as far as they exist. Errors wrap sshconfig.Err.
func Read(files []string) (Known, error) {
	var known Known
	for _, file := range files {
		data, err := plainfile.Read(file, plainfile.MostKnown)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: read: %w", sshconfig.Err, err)
		}
		for i, text := range bytes.Split(data, []byte("\n")) {
			marker, hosts, key, _, _, err := ssh.ParseKnownHosts(text)
			if err != nil {
				continue // as ssh does: empty, a comment, or an unknown type of key
			}
			known = append(known, line{file, i + 1, marker, hosts, key})
		}
	}
	return known, nil
}

// of returns the lines about addr (host:port). As in ssh, a key without a port counts
// for other ports, too, as long as there is none for that port; exact is then false, and
// another key there proves nothing.
func (k Known) of(addr string) (lines Known, exact bool) {
	lines = k.named(knownhosts.Normalize(addr))
	if len(lines) > 0 {
		return lines, true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, true
	}
	return k.named(host), false
}

// Place is the one of two addresses (host:port) whose keys a server is asked for: the former
// one, unless that is "", where nothing is known of its own.
func (k Known) Place(own, former string) string {
	if lines, _ := k.of(own); len(lines) == 0 && former != "" {
		return former
	}
	return own
}

func (k Known) named(name string) Known {
	var out Known
	for _, l := range k {
		if l.marker != markRevoked && matchHosts(l.hosts, strings.ToLower(name)) {
			out = append(out, l)
		}
	}
	return out
}

// Check is nil where key is known for addr, and wraps ErrChanged or
// ErrUnknown otherwise.
func (k Known) Check(addr string, key ssh.PublicKey) error {
	bare := Bare(key)
	cert, certified := key.(*ssh.Certificate)
	for _, l := range k {
		if l.marker == markRevoked && (Same(l.key, bare) || certified && Same(l.key, cert.SignatureKey)) {
			return fmt.Errorf("%w: it is revoked in %s", ErrChanged, l.place())
		}
	}
	lines, exact := k.of(addr)
	if certified && lines.checkCert(addr, cert) == nil {
		return nil
	}
	// A certificate that is not valid (another authority, expired) counts as none: ssh
	// checks the key in it then.
	var other *line
	for i, l := range lines {
		if l.marker != "" {
			continue
		}
		if Same(l.key, bare) {
			return nil
		}
		if other == nil || l.key.Type() == bare.Type() {
			other = &lines[i]
		}
	}
	if other != nil && exact {
		return &ChangedError{line: *other, shown: bare}
	}
	err := fmt.Errorf("%w: %s %s", ErrUnknown, bare.Type(), ssh.FingerprintSHA256(bare))
	if certified {
		err = fmt.Errorf("%w, and its certificate does not hold: %w", err, lines.checkCert(addr, cert))
	}
	return err
}

// Bare is key without its certificate.
func Bare(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

func (k Known) checkCert(addr string, cert *ssh.Certificate) error {
	checker := ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool {
		return slices.ContainsFunc(k, func(l line) bool { return l.marker == markCA && Same(l.key, auth) })
	}}
	if err := checker.CheckHostKey(addr, nil, cert); err != nil {
		return err
	}
	return nil
}

// ChangedError is ErrChanged with the line that has another key.
type ChangedError struct {
	line  line
	shown ssh.PublicKey
}

// File is the known_hosts file with that line.
func (e *ChangedError) File() string { return e.line.file }

// Error names the key that the server shows and the one that is known.

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s: it shows %s %s, %s has %s", ErrChanged, e.shown.Type(), ssh.FingerprintSHA256(e.shown),
		e.line.place(), ssh.FingerprintSHA256(e.line.key))
}

// Unwrap returns ErrChanged.
func (e *ChangedError) Unwrap() error { return ErrChanged }

// hostKeyPreference is the order in which an unknown server is asked for its keys, as
// ssh does it. The last ones are used only if nothing else is common.
var hostKeyPreference = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// Algorithms is the order in which addr is asked for its keys: certificates if an
// authority is known, then the known types. Otherwise a server known by one of its keys
// would seem changed when it shows another one.
func (k Known) Algorithms(addr string) []string {
	var first, known []string
	lines, _ := k.of(addr)
	for _, l := range lines {
		if l.marker == markCA {
			first = []string{
				ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
				ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
			}
			continue
		}
		if l.key.Type() == ssh.KeyAlgoRSA {
			known = append(known, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		if slices.Contains(hostKeyPreference, l.key.Type()) {
			known = append(known, l.key.Type())
		}
	}
	var out []string
	for _, algo := range slices.Concat(first, known, hostKeyPreference) {
		if !slices.Contains(out, algo) {
			out = append(out, algo)
		}
	}
	return out
}

// Same says whether two keys, or certificates, are one.
func Same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// matchHosts says whether name matches patterns. If a pattern with ! in front matches,
// the whole line does not.
func matchHosts(patterns []string, name string) bool {
	found := false
	for _, p := range patterns {
		if strings.HasPrefix(p, "|1|") {
			found = found || matchHash(p, name)
			continue
		}
		p, not := strings.CutPrefix(p, "!")
		if sshconfig.Matches(strings.ToLower(p), name) {
			if not {
				return false
			}
			found = true
		}
	}
	return found
}

// matchHash compares name with |1|salt|HMAC-SHA1(salt, name).
func matchHash(pattern, name string) bool {
	parts := strings.Split(pattern, "|")
	if len(parts) != 4 {
		return false
	}
	salt, err1 := base64.StdEncoding.DecodeString(parts[2])
	sum, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), sum)
}
