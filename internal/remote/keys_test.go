package remote

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/remote/hostkeys"
	"github.com/flocknet/flock/internal/remote/keys"
	"github.com/flocknet/flock/internal/sshconfig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// TestFalseMatchLeadsNowhere: a block of another machine's, under a condition that does
// not hold, does not lead there; one that holds does.
func TestFalseMatchLeadsNowhere(t *testing.T) {
	right, wrong := (&sshServer{}).start(t), (&sshServer{}).start(t)
	for condition, want := range map[string]*sshServer{"exec false": right, "exec true": wrong, "user nobody": right, "user root": wrong} {
		l := newLaptop(t, right, wrong)
		host, port, _ := strings.Cut(wrong.addr, ":")
		rightHost, rightPort, _ := strings.Cut(right.addr, ":")
		l.config(t, "Match host s1 "+condition+"\n HostName "+host+"\n Port "+port+"\nHost s1\n HostName "+rightHost+"\n Port "+rightPort+
			"\nHost *\n User root\n IdentityFile "+l.identity+"\n IdentityAgent none\n")
		before := want.logins.Load()
		mustDial(t, l, Target{Name: "s1", User: "root"})
		if want.logins.Load() != before+1 {
			t.Errorf("%s: logged in to the other machine", condition)
		}
	}
}

// TestProxyCommandRunsAsWritten: quotes at both ends and a number sign are the shell's.
func TestProxyCommandRunsAsWritten(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n ProxyCommand \""+must(os.Executable())+"\" proxy %h \"%p\"\n")
	facts(t, mustDial(t, l, s.target()))
}

// TestOnlyTheUsersFileIsWritten: a key that is taken goes to the user's own file, never
// to the system's, and nowhere with none.
func TestOnlyTheUsersFileIsWritten(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t)
	l.AcceptNew = true
	system := filepath.Join(l.dir, "system")
	writeText(t, system, "# nobody\n")
	l.SSHConfig, l.Dialer.config = filepath.Join(l.dir, "config"), nil
	writeText(t, l.SSHConfig, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n UserKnownHostsFile none\n GlobalKnownHostsFile "+system+"\n")
	mustDial(t, l, s.target())
	if text := must(os.ReadFile(system)); string(text) != "# nobody\n" {
		t.Errorf("the system's file has\n%s", text)
	}
	// What the system's file has counts.
	writeText(t, system, s.line(0)+"\n")
	l.AcceptNew, l.Dialer = false, &Dialer{SSHConfig: l.SSHConfig, paths: l.Dialer.paths, Agents: l.Dialer.Agents}
	mustDial(t, l, s.target())
}

// TestRevokedHostKeys: a list of keys, a revocation list, and a file that is not there.
func TestRevokedHostKeys(t *testing.T) {
	s, other := (&sshServer{}).start(t), (&sshServer{}).start(t)
	l := newLaptop(t, s, other)
	list := filepath.Join(l.dir, "revoked")
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n RevokedHostKeys "+list+"\n")
	refused(t, l, s.target(), ErrHostKeyChanged, "RevokedHostKeys")
	key := string(ssh.MarshalAuthorizedKey(s.keys[0].PublicKey()))
	writeText(t, list, "# gone\n"+key)
	refused(t, l, s.target(), ErrHostKeyChanged, list)
	mustDial(t, l, other.target())
	writeText(t, filepath.Join(l.dir, "key.pub"), key)
	if out, err := exec.Command("ssh-keygen", "-k", "-f", list, filepath.Join(l.dir, "key.pub")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused(t, l, s.target(), ErrHostKeyChanged, list)
	mustDial(t, l, other.target())
}

// TestKeysOfSecurityKeys: a file whose private half cannot be read here is offered by
// the public half beside it.
func TestKeysOfSecurityKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "id_ed25519_sk")
	writeText(t, path, "-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGZvciB1cw==\n-----END OPENSSH PRIVATE KEY-----\n")
	k := keys.Open(path)
	if k.Err() == nil || k.Public() != nil {
		t.Errorf("without a public half: %v, %v", k.Public(), k.Err())
	}
	pub := newKey(t).PublicKey()
	writeText(t, path+".pub", string(ssh.MarshalAuthorizedKey(pub)))
	k = keys.Open(path)
	if k.Err() != nil || !k.Half() || !hostkeys.Same(k.Public(), pub) {
		t.Errorf("with one: %v, %v", k.Public(), k.Err())
	}
	// The agent holds the other half, and says so by signing.
	signer := newKey(t)
	writeText(t, path+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	k = keys.Open(path)
	in := &login{d: &Dialer{}, r: &route{Route: &sshconfig.Route{Named: true}}}
	if s, ask, err := in.identity(k, []ssh.Signer{signer}); err != nil || ask || !hostkeys.Same(s.PublicKey(), signer.PublicKey()) {
		t.Errorf("by the agent: %v, %v, %v", s, ask, err)
	}
	if _, _, err := in.identity(k, nil); !errors.Is(err, ErrAuth) {
		t.Errorf("without the agent: %v", err)
	}
}

// TestCertificateThatExpired: the plain key in it counts, as to ssh.
func TestCertificateThatExpired(t *testing.T) {
	ca, plain := newKey(t), newKey(t)
	cert := &ssh.Certificate{Key: plain.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: 1}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s := (&sshServer{keys: []ssh.Signer{must(ssh.NewCertSigner(cert, plain)), plain}}).start(t)
	l := newLaptop(t)
	if err := hostkeys.Append(l.known, "@cert-authority 127.0.0.* "+string(ssh.MarshalAuthorizedKey(ca.PublicKey()))); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s.target(), ErrHostKeyUnknown, "expired")
	if err := hostkeys.Append(l.known, knownhosts.Line([]string{"127.0.0.1"}, plain.PublicKey())); err != nil {
		t.Fatal(err)
	}
	l.Dialer = &Dialer{SSHConfig: l.SSHConfig, paths: l.Dialer.paths, Agents: l.Dialer.Agents}
	mustDial(t, l, s.target())
}
