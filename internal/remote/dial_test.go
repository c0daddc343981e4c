package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/dial"
	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// mustDial dials and closes when the test ends.
func mustDial(t *testing.T, l *laptop, target Target) *Conn {
	t.Helper()
	c, err := l.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(hint.Text("dial", err))
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// refused dials and expects want, with advice.
func refused(t *testing.T, l *laptop, target Target, want error, words ...string) {
	t.Helper()
	c, err := l.Dial(t.Context(), target)
	if err == nil {
		c.Close()
		t.Fatalf("dialled, want %v", want)
	}
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	where, next := hint.Of(err)
	if !strings.Contains(where, target.Name) || next == "" {
		t.Fatalf("where %q, next %q of %v", where, next, err)
	}
	for _, w := range words {
		if !strings.Contains(hint.Text("", err), w) {
			t.Fatalf("%q is not in:\n%s", w, hint.Text("flock", err))
		}
	}
}

func onlyKey(want ssh.PublicKey) func(string, ssh.PublicKey) bool {
	return func(_ string, key ssh.PublicKey) bool { return hostkeys.Same(key, want) }
}

func TestLoginByKeyFile(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	s.accept = onlyKey(l.key.PublicKey())
	c := mustDial(t, l, s.target())
	if err := c.Reachable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.logins.Load(); n != 1 {
		t.Fatalf("%d logins, want 1: Reachable must not log in", n)
	}
	mustDial(t, l, s.target())
	want := int32(2)
	if !dial.CanTouch {
		want++
	}
	if n := s.conns.Load(); n != want {
		t.Fatalf("sshd saw %d connections, want %d: of Reachable's it hears nothing", n, want)
	}
}

func TestNoLongerReachable(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	c := mustDial(t, l, s.target())
	if err := s.hush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*reachEvery)
	defer cancel()
	if err := c.Reachable(ctx); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("error %v, want %v", err, ErrUnreachable)
	}
}

func TestWrongKey(t *testing.T) {
	s := (&sshServer{accept: func(string, ssh.PublicKey) bool { return false }}).start(t)
	l := newLaptop(t, s)
	refused(t, l, s.target(), ErrAuth, "none of our keys as root", "ssh-copy-id")
}

func TestMissingKeyFile(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	target := s.target()
	target.Identity = l.dir + "/none"
	refused(t, l, target, ErrConfig, "no such file", "ls -l")
	if s.conns.Load() != 0 {
		t.Fatal("the server was contacted")
	}
	target.Identity = l.identity + ".pub"
	if err := os.WriteFile(target.Identity, ssh.MarshalAuthorizedKey(l.key.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, l, target, ErrAuth, "only the public half")
}

func TestUnknownHostKey(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t)
	refused(t, l, s.target(), ErrHostKeyUnknown, ssh.FingerprintSHA256(s.keys[0].PublicKey()), "--accept-new")
	if _, err := os.Stat(l.known); err == nil {
		t.Fatal("a refused key was written down")
	}
	l.AcceptNew = true
	mustDial(t, l, s.target())
	data, err := os.ReadFile(l.known)
	if err != nil || strings.TrimSpace(string(data)) != s.line(0) {
		t.Fatalf("known_hosts %q, %v", data, err)
	}
	if st, _ := os.Stat(l.known); st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", st.Mode())
	}
	l.AcceptNew = false
	mustDial(t, l, s.target())
}

func TestUnknownHostKeyIsAskedAbout(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t)
	l.Timeout = 200 * time.Millisecond
	answer, asked := false, ""
	l.Ask = func(q string) (bool, error) {
		asked = q
		timer := time.NewTimer(3 * l.Timeout) // a person takes time
		<-timer.C
		return answer, nil
	}
	refused(t, l, s.target(), ErrHostKeyUnknown, "was not taken")
	if !strings.Contains(asked, ssh.FingerprintSHA256(s.keys[0].PublicKey())) {
		t.Fatalf("asked %q", asked)
	}
	answer = true
	mustDial(t, l, s.target())
	asked = ""
	mustDial(t, l, s.target())
	if asked != "" {
		t.Fatalf("asked again: %q", asked)
	}
}

func TestChangedHostKey(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t)
	l.AcceptNew = true
	l.Ask = func(string) (bool, error) { t.Error("asked about a changed key"); return true, nil }
	if err := hostkeys.Append(l.known, "# a comment\n"+knownhosts.Line([]string{s.addr}, newKey(t).PublicKey())); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s.target(), ErrHostKeyChanged, l.known+":2", "ssh-keygen -R")
}

func TestRevokedHostKey(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	l.AcceptNew = true
	if err := hostkeys.Append(l.known, "@revoked * "+string(ssh.MarshalAuthorizedKey(s.keys[0].PublicKey()))); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s.target(), ErrHostKeyChanged, "revoked", l.known+":2")
}

// A server known by one of its keys must not look changed because it has others
// that stand higher in the list.
func TestKnownByOneOfItsKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := (&sshServer{keys: []ssh.Signer{newKey(t), second}}).start(t)
	l := newLaptop(t)
	if err := hostkeys.Append(l.known, s.line(1)); err != nil {
		t.Fatal(err)
	}
	mustDial(t, l, s.target())
}

func TestHashedAndDamagedKnownHosts(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t)
	name := knownhosts.Normalize(s.addr)
	hashed := knownhosts.HashHostname(name) + strings.TrimPrefix(s.line(0), name)
	text := "old.example 1024 35 12345678901234567890\nx ssh-new-kind AAAA\n\n" + hashed // no newline at the end
	if err := os.WriteFile(l.known, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mustDial(t, l, s.target())
	other := (&sshServer{}).start(t)
	l.AcceptNew = true
	l.config(t, "Host *\n  IdentityFile "+l.identity+"\n  IdentityAgent none\n  HashKnownHosts yes\n")
	mustDial(t, l, other.target())
	data, err := os.ReadFile(l.known)
	if err != nil || strings.Contains(string(data), other.addr[strings.LastIndexByte(other.addr, ':'):]) || !strings.HasPrefix(string(data), text+"\n|1|") {
		t.Fatalf("known_hosts:\n%s%v", data, err)
	}
}

func TestCertifiedHost(t *testing.T) {
	ca, plain := newKey(t), newKey(t)
	cert := &ssh.Certificate{
		Key: plain.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, plain)
	if err != nil {
		t.Fatal(err)
	}
	s := (&sshServer{keys: []ssh.Signer{signer, newKey(t)}}).start(t)
	l := newLaptop(t)
	authority := func(key ssh.PublicKey) string {
		return "@cert-authority 127.0.0.* " + string(ssh.MarshalAuthorizedKey(key))
	}
	if err := hostkeys.Append(l.known, authority(ca.PublicKey())); err != nil {
		t.Fatal(err)
	}
	mustDial(t, l, s.target())

	// A certificate of another authority is as good as none, as to ssh: the key in it
	// counts, known, changed, or new.
	s = (&sshServer{keys: []ssh.Signer{signer, plain}}).start(t)
	stranger := newLaptop(t)
	if err := hostkeys.Append(stranger.known, authority(newKey(t).PublicKey())); err != nil {
		t.Fatal(err)
	}
	refused(t, stranger, s.target(), ErrHostKeyUnknown, "certificate")
	stranger.AcceptNew = true
	mustDial(t, stranger, s.target())
	stranger.AcceptNew = false
	stranger.Dialer = &Dialer{SSHConfig: stranger.SSHConfig}
	mustDial(t, stranger, s.target())

	changed := newLaptop(t)
	changed.AcceptNew = true
	for _, line := range []string{authority(newKey(t).PublicKey()), knownhosts.Line([]string{knownhosts.Normalize(s.addr)}, newKey(t).PublicKey())} {
		if err := hostkeys.Append(changed.known, line); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, changed, s.target(), ErrHostKeyChanged)

	revoked := newLaptop(t)
	for _, line := range []string{"@revoked * " + string(ssh.MarshalAuthorizedKey(plain.PublicKey())), knownhosts.Line([]string{knownhosts.Normalize(s.addr)}, plain.PublicKey())} {
		if err := hostkeys.Append(revoked.known, line); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, revoked, s.target(), ErrHostKeyChanged, "revoked")

	// Below an authority, a server without certificate is new, not changed.
	bare := (&sshServer{}).start(t)
	refused(t, l, bare.target(), ErrHostKeyUnknown)
	l.AcceptNew = true
	mustDial(t, l, bare.target())
}

func TestUserCertificate(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	ca := newKey(t)
	cert := &ssh.Certificate{Key: l.key.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.identity+"-cert.pub", ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	s.accept = func(_ string, key ssh.PublicKey) bool {
		c, ok := key.(*ssh.Certificate)
		return ok && hostkeys.Same(c.SignatureKey, ca.PublicKey())
	}
	mustDial(t, l, s.target())
}

func TestLoginByAgent(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	keyring := agent.NewKeyring()
	path := filepath.Join(l.dir, "agentkey")
	key := writeKey(t, path, "")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(l.dir, "agent.sock")
	listener, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, c)
		}
	}()
	s.accept = onlyKey(key.PublicKey())
	t.Setenv("SSH_AUTH_SOCK", sock)
	l.config(t, "")
	mustDial(t, l, s.target())

	only := newLaptop(t, s)
	only.config(t, "Host *\n  IdentityFile "+only.identity+"\n  IdentitiesOnly yes\n")
	refused(t, only, s.target(), ErrAuth)

	// IdentitiesOnly with the public half alone picks the agent's key.
	if err := os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(key.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	half := newLaptop(t, s)
	half.config(t, "Host *\n  IdentityFile "+path+".pub\n  IdentitiesOnly yes\n")
	mustDial(t, half, s.target())
}

func TestPassphraseIsAskedOnce(t *testing.T) {
	servers := []*sshServer{{}, {}, {}}
	l := newLaptop(t)
	path := filepath.Join(l.dir, "locked")
	key := writeKey(t, path, "sesame")
	for _, s := range servers {
		s.accept = onlyKey(key.PublicKey())
		s.start(t)
		if err := hostkeys.Append(l.known, s.line(0)); err != nil {
			t.Fatal(err)
		}
	}
	l.Timeout = 300 * time.Millisecond
	var asked atomic.Int32
	l.Secret = func(prompt string) ([]byte, error) {
		if !strings.Contains(prompt, path) {
			t.Errorf("prompt %q", prompt)
		}
		timer := time.NewTimer(2 * l.Timeout)
		<-timer.C
		if asked.Add(1) == 1 {
			return []byte("wrong"), nil
		}
		return []byte("sesame"), nil
	}
	results := Each(t.Context(), servers, 0, func(ctx context.Context, s *sshServer) (bool, error) {
		target := s.target()
		target.Identity = path
		c, err := l.Dial(ctx, target)
		if err == nil {
			c.Close()
		}
		return true, err
	})
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if asked.Load() != 2 {
		t.Fatalf("asked %d times, want 2: once wrong, once right", asked.Load())
	}
	alone := newLaptop(t, servers[0])
	target := servers[0].target()
	target.Identity = path
	refused(t, alone, target, ErrAuth, "passphrase", "no terminal")
}

func TestUnreachable(t *testing.T) {
	l := newLaptop(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sshServer{addr: dead.Addr().String()}
	l.Timeout = 100 * time.Millisecond
	refused(t, l, s.target(), ErrUnreachable, "no answer within 100ms") // accepts and says nothing
	dead.Close()
	refused(t, l, s.target(), ErrUnreachable, "refused")
}

func TestDialIsCalledOff(t *testing.T) {
	l := newLaptop(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = l.Dial(ctx, (&sshServer{addr: silent.Addr().String()}).target())
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
		t.Fatalf("%v after %v", err, time.Since(start))
	}
}

func TestSilentServerIsGivenUp(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	l.keepalive = 150 * time.Millisecond // a busy machine may take a third of that to install the agent
	c := mustDial(t, l, s.target())
	session, err := c.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.mute.Store(true)
	_, err = session.Do(t.Context(), request(opHang), nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no sign of life") {
		t.Fatalf("error %v", err)
	}
}

func TestManyLearnAtOnce(t *testing.T) {
	l := newLaptop(t)
	l.AcceptNew = true
	servers := make([]*sshServer, 20)
	for i := range servers {
		servers[i] = (&sshServer{}).start(t)
	}
	for _, r := range Each(t.Context(), servers, 0, func(ctx context.Context, s *sshServer) (bool, error) {
		c, err := l.Dial(ctx, s.target())
		if err == nil {
			c.Close()
		}
		return true, err
	}) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	data, err := os.ReadFile(l.known)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if strings.Count(string(data), s.line(0)+"\n") != 1 {
			t.Errorf("%s is not in known_hosts once:\n%s", s.addr, data)
		}
	}
}
