//go:build linux

package remote

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/lab"
)

// serveAgent lets an ssh agent answer at a socket, whose path it returns.
func serveAgent(t *testing.T, a agent.Agent) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(a, conn)
		}
	}()
	return path
}

func ed25519Key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// manyKeys is an agent with n keys, of which own is the last.
func manyKeys(t *testing.T, n int, own ed25519.PrivateKey) agent.Agent {
	t.Helper()
	ring := agent.NewKeyring()
	for i := range n {
		key := own
		if i < n-1 {
			key = ed25519Key(t)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

// loginBy is a real sshd for the key whose public half is pub, and a laptop whose ssh config has
// lines for it.
func loginBy(t *testing.T, sshd string, pub ssh.PublicKey, lines string) (*laptop, Target) {
	t.Helper()
	l := newLaptop(t)
	l.Timeout = 30 * time.Second
	l.authorized = pub
	port, _ := realSSHD(t, l, sshd)
	l.config(t, "Host *\n"+lines+"\n")
	return l, Target{Name: "s1", User: "root", Host: "127.0.0.1", Port: port}
}

// An agent with twenty keys against MaxAuthTries 6, as sshd has it: the right key is found where
// ssh finds it, and otherwise the error says what to do.
func TestManyKeysOfAnAgent(t *testing.T) {
	own := ed25519Key(t)
	signer := must(ssh.NewSignerFromKey(own))
	named := filepath.Join(t.TempDir(), "id")
	writeText(t, named+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	socket := serveAgent(t, manyKeys(t, 20, own))
	for name, lines := range map[string]string{
		"IdentityFile":   "IdentityAgent " + socket + "\nIdentityFile " + named + ".pub",
		"IdentitiesOnly": "IdentityAgent " + socket + "\nIdentitiesOnly yes\nIdentityFile " + named,
	} {
		t.Run(name, func(t *testing.T) {
			l, target := loginBy(t, "", signer.PublicKey(), lines)
			facts(t, mustDial(t, l, target))
		})
	}
	l, target := loginBy(t, "", signer.PublicKey(), "IdentityAgent "+socket)
	_, err := l.Dial(t.Context(), target)
	if _, next := hint.Of(err); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "Too many authentication failures") || !strings.Contains(next, "IdentityFile") {
		t.Errorf("twenty keys and no name: %v, next %q", err, next)
	}
}

// A server that allows one session at a time: first contact and the next command need no second.
func TestOneSessionAtATime(t *testing.T) {
	l := newLaptop(t)
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n")
	l.authorized = l.key.PublicKey()
	port, _ := realSSHD(t, l, "MaxSessions 1")
	target := Target{Name: "s1", User: "root", Host: "127.0.0.1", Port: port}
	for range 20 { // first contacts
		facts(t, mustDial(t, l, target))
		if err := os.RemoveAll(l.install); err != nil {
			t.Fatal(err)
		}
	}
}

// A user's certificate, and a host's by @cert-authority.
func TestCertificates(t *testing.T) {
	ca := must(ssh.NewSignerFromKey(ed25519Key(t)))
	dir := t.TempDir()
	signed := func(key ssh.PublicKey, kind uint32, names ...string) string {
		cert := &ssh.Certificate{Key: key, CertType: kind, ValidPrincipals: names, ValidBefore: ssh.CertTimeInfinity, KeyId: "test"}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		return string(ssh.MarshalAuthorizedKey(cert))
	}
	writeText(t, filepath.Join(dir, "ca.pub"), string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
	host := writeKey(t, filepath.Join(dir, "host"), "")
	writeText(t, filepath.Join(dir, "host-cert.pub"), signed(host.PublicKey(), ssh.HostCert, "127.0.0.1"))
	l := newLaptop(t)
	writeText(t, l.identity+"-cert.pub", signed(l.key.PublicKey(), ssh.UserCert, "root"))
	l.authorized = ca.PublicKey() // as a plain key it is nobody's
	port, _ := realSSHD(t, l, fmt.Sprintf("TrustedUserCAKeys %s/ca.pub\nHostKey %s/host\nHostCertificate %s/host-cert.pub", dir, dir, dir))
	if err := os.WriteFile(l.known, []byte("@cert-authority [127.0.0.1]:* "+string(ssh.MarshalAuthorizedKey(ca.PublicKey()))), 0o600); err != nil {
		t.Fatal(err)
	}
	target := Target{Name: "s1", User: "root", Host: "127.0.0.1", Port: port}
	facts(t, mustDial(t, l, target))
	if err := os.Remove(l.identity + "-cert.pub"); err != nil {
		t.Fatal(err)
	}
	l.Dialer = &Dialer{SSHConfig: l.SSHConfig, Agents: l.Agents, paths: l.paths}
	refused(t, l, target, ErrAuth)
}

// token is an ssh agent that has one FIDO key, and a person who touches it: it signs as
// PROTOCOL.u2f of OpenSSH says, and the server checks that.
type token struct {
	agent.ExtendedAgent // the rest is not asked for
	key                 ed25519.PrivateKey
	counter             uint32
}

const tokenApplication = "ssh:"

func (k *token) public() ssh.PublicKey {
	return must(ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, k.key.Public().(ed25519.PublicKey), tokenApplication})))
}

func (k *token) List() ([]*agent.Key, error) {
	pub := k.public()
	return []*agent.Key{{Format: pub.Type(), Blob: pub.Marshal(), Comment: "token"}}, nil
}

func (k *token) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return k.Sign(key, data)
}

func (k *token) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	k.counter++
	const touched = 1
	rest := binary.BigEndian.AppendUint32([]byte{touched}, k.counter)
	application, message := sha256.Sum256([]byte(tokenApplication)), sha256.Sum256(data)
	blob := append(append(append([]byte{}, application[:]...), rest...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.key, blob), Rest: rest}, nil
}

// A security key through the agent: the file has only its handle.
func TestSecurityKeyThroughAgent(t *testing.T) {
	key := &token{key: ed25519Key(t)}
	socket := serveAgent(t, key)
	l, target := loginBy(t, "", key.public(), "IdentityAgent "+socket)
	facts(t, mustDial(t, l, target))
}

// A key on a PKCS#11 token (SoftHSM) through ssh-agent.
func TestTokenThroughAgent(t *testing.T) {
	lab.Need(t, "softhsm2-util", "ssh-agent", "ssh-add")
	dir := t.TempDir()
	const library = "/usr/lib/softhsm/libsofthsm2.so"
	writeText(t, filepath.Join(dir, "conf"), "directories.tokendir = "+dir+"/tokens\n")
	writeText(t, filepath.Join(dir, "pin"), "#!/bin/sh\necho 1234\n")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700), os.Chmod(filepath.Join(dir, "pin"), 0o700)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "agent")
	env := append(os.Environ(), "SOFTHSM2_CONF="+dir+"/conf", "SSH_AUTH_SOCK="+socket, "SSH_ASKPASS="+dir+"/pin", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none")
	start := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	run := func(args ...string) string {
		out, err := start(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	key := must(x509.MarshalPKCS8PrivateKey(must(rsa.GenerateKey(rand.Reader, 2048))))
	writeText(t, filepath.Join(dir, "pkcs8"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	run("softhsm2-util", "--init-token", "--free", "--label", "flock", "--pin", "1234", "--so-pin", "1234")
	run("softhsm2-util", "--import", dir+"/pkcs8", "--token", "flock", "--label", "key", "--id", "01", "--pin", "1234")
	agent := start("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Signal(syscall.SIGTERM); _ = agent.Wait() })
	tick, late := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for there := false; !there; {
		_, err := os.Stat(socket)
		there = err == nil
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the ssh agent does not start")
		}
	}
	run("ssh-add", "-s", library)
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(run("ssh-add", "-L")))
	if err != nil {
		t.Fatal(err)
	}
	l, target := loginBy(t, "", pub, "IdentityAgent "+socket)
	facts(t, mustDial(t, l, target))
}
