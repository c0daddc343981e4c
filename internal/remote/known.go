package remote

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

// knownLine is one key of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
type knownLine struct {
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

func (l *knownLine) place() string { return fmt.Sprintf("%s:%d", l.file, l.line) }

// knownKeys is what a set of known_hosts files says. The package knownhosts has two
// faults here: one line that it cannot parse fails the whole file, where ssh skips the
// line; and it lists the authorities of a host among its keys, so that a new host below
// an authority seems changed.
type knownKeys []knownLine

// readKnown reads files as far as they exist.
func readKnown(files []string) (knownKeys, error) {
	var known knownKeys
	for _, file := range files {
		data, err := plainfile.Read(file, plainfile.MostKnown)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: read: %w", ErrConfig, err)
		}
		for i, text := range bytes.Split(data, []byte("\n")) {
			marker, hosts, key, _, _, err := ssh.ParseKnownHosts(text)
			if err != nil {
				continue // as ssh does: empty, a comment, or an unknown type of key
			}
			known = append(known, knownLine{file, i + 1, marker, hosts, key})
		}
	}
	return known, nil
}

// of returns the lines about addr (host:port). As in ssh, a key without a port counts
// for other ports, too, as long as there is none for that port; exact is then false, and
// another key there proves nothing.
func (k knownKeys) of(addr string) (lines knownKeys, exact bool) {
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

// namedAs is the place whose keys r's server is asked for: the former one where nothing is
// known of the new one.
func (k knownKeys) namedAs(r *route) string {
	if lines, _ := k.of(r.KeyName); len(lines) == 0 && r.formerly != "" {
		return r.formerly
	}
	return r.KeyName
}

func (k knownKeys) named(name string) knownKeys {
	var out knownKeys
	for _, l := range k {
		if l.marker != markRevoked && matchHosts(l.hosts, strings.ToLower(name)) {
			out = append(out, l)
		}
	}
	return out
}

// check is nil where key is known for addr, and wraps ErrHostKeyChanged or
// ErrHostKeyUnknown otherwise.
func (k knownKeys) check(addr string, key ssh.PublicKey) error {
	bare := bareKey(key)
	cert, certified := key.(*ssh.Certificate)
	for _, l := range k {
		if l.marker == markRevoked && (sameKey(l.key, bare) || certified && sameKey(l.key, cert.SignatureKey)) {
			return fmt.Errorf("%w: it is revoked in %s", ErrHostKeyChanged, l.place())
		}
	}
	lines, exact := k.of(addr)
	if certified && lines.checkCert(addr, cert) == nil {
		return nil
	}
	// A certificate that is not valid (another authority, expired) counts as none: ssh
	// checks the key in it then.
	var other *knownLine
	for i, l := range lines {
		if l.marker != "" {
			continue
		}
		if sameKey(l.key, bare) {
			return nil
		}
		if other == nil || l.key.Type() == bare.Type() {
			other = &lines[i]
		}
	}
	if other != nil && exact {
		return &changedError{line: *other, shown: bare}
	}
	err := fmt.Errorf("%w: %s %s", ErrHostKeyUnknown, bare.Type(), ssh.FingerprintSHA256(bare))
	if certified {
		err = fmt.Errorf("%w, and its certificate does not hold: %w", err, lines.checkCert(addr, cert))
	}
	return err
}

// bareKey is key without its certificate.
func bareKey(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

func (k knownKeys) checkCert(addr string, cert *ssh.Certificate) error {
	checker := ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool {
		return slices.ContainsFunc(k, func(l knownLine) bool { return l.marker == markCA && sameKey(l.key, auth) })
	}}
	if err := checker.CheckHostKey(addr, nil, cert); err != nil {
		return err
	}
	return nil
}

// changedError is ErrHostKeyChanged with the line that has another key.
type changedError struct {
	line  knownLine
	shown ssh.PublicKey
}

func (e *changedError) Error() string {
	return fmt.Sprintf("%s: it shows %s %s, %s has %s", ErrHostKeyChanged, e.shown.Type(), ssh.FingerprintSHA256(e.shown),
		e.line.place(), ssh.FingerprintSHA256(e.line.key))
}

func (e *changedError) Unwrap() error { return ErrHostKeyChanged }

// hostKeyPreference is the order in which an unknown server is asked for its keys, as
// ssh does it. The last ones are used only if nothing else is common.
var hostKeyPreference = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// algorithms is the order in which addr is asked for its keys: certificates if an
// authority is known, then the known types. Otherwise a server known by one of its keys
// would seem changed when it shows another one.
func (k knownKeys) algorithms(addr string) []string {
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

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

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
