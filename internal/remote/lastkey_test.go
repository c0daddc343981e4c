package remote

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
)

// The key that a server took last is offered first; a note that is stale, damaged or cannot be
// written costs nothing else, and names no key that ssh would not offer.
func TestKeyThatWorkedLast(t *testing.T) {
	var offered []string
	wanted := ""
	called := map[string]string{} // names by public key
	s := &sshServer{accept: func(_ string, key ssh.PublicKey) bool {
		name := called[string(key.Marshal())]
		if !slices.Contains(offered, name) {
			offered = append(offered, name)
		}
		return name == wanted
	}}
	s.start(t)
	l := newLaptop(t, s)
	config := ""
	for _, name := range []string{"a", "b", "c", "d"} {
		path := filepath.Join(l.dir, name)
		called[string(writeKey(t, path, "").PublicKey().Marshal())] = name
		config += " IdentityFile " + path + "\n"
	}
	secret := filepath.Join(l.dir, "secret")
	called[string(writeKey(t, secret, "words").PublicKey().Marshal())] = "secret"
	set := func(config string) {
		l.config(t, "Host *\n"+config+" IdentityFile "+secret+"\n IdentityAgent none\n")
	}
	set(config)
	l.Secret = func(string) ([]byte, error) { return []byte("words"), nil }
	l.Control = filepath.Join(l.dir, "state", "control")
	notes := filepath.Join(l.dir, "state", "keys")
	login := func(want string) {
		t.Helper()
		offered = nil
		l.keys = nil // as another command
		mustDial(t, l, s.target())
		if have := strings.Join(offered, " "); have != want {
			t.Errorf("%s is taken: want %s offered, have %s", wanted, want, have)
		}
	}
	only := func() string {
		t.Helper()
		files := must(os.ReadDir(notes))
		if len(files) != 1 {
			t.Fatalf("want one note, have %v", files)
		}
		return filepath.Join(notes, files[0].Name())
	}

	wanted = "a"
	login("a")
	if _, err := os.Stat(notes); err == nil {
		t.Error("what comes first anyway is noted")
	}
	wanted = "c"
	login("a b c")
	login("c")
	info := must(os.Stat(only()))
	if text := string(must(os.ReadFile(only()))); info.Mode().Perm() != 0o600 || !strings.HasPrefix(text, "SHA256:") || strings.Count(text, "\n") != 1 {
		t.Errorf("the note, %v, is %q", info.Mode(), text)
	}
	wanted = "d" // the note is stale
	login("c a b d")
	login("d")
	for _, damage := range []string{"", "SHA256:nobody\n", strings.Repeat("x", 1<<20)} {
		writeText(t, only(), damage)
		login("a b c d")
	}
	wanted = "a"
	login("d a")
	login("a")
	if files := must(os.ReadDir(notes)); len(files) > 0 {
		t.Errorf("what comes first again is still noted: %v", files)
	}

	// A key that somebody types a passphrase for is not asked for before its turn.
	wanted = "secret"
	login("a b c d secret")
	login("a b c d secret")

	// What the configuration names no more is not offered.
	wanted = "d"
	login("a b c d")
	set(strings.Join(strings.SplitAfter(config, "\n")[:3], ""))
	offered, l.keys = nil, nil
	refused(t, l, s.target(), ErrAuth)
	if slices.Contains(offered, "d") {
		t.Errorf("offered %v", offered)
	}

	// Nothing can be written.
	if err := os.RemoveAll(filepath.Dir(notes)); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Dir(notes), "no directory")
	set(config)
	login("a b c d")
}

// A certificate that was taken is offered before the key in it.
func TestCertificateThatWorkedLast(t *testing.T) {
	ca := newKey(t)
	offered := 0
	s := &sshServer{}
	l := newLaptop(t)
	cert := &ssh.Certificate{Key: l.key.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(must(os.Open("/dev/urandom")), ca); err != nil {
		t.Fatal(err)
	}
	s.accept = func(_ string, key ssh.PublicKey) bool {
		offered++
		return hostkeys.Same(key, cert)
	}
	s.start(t)
	if err := appendLine(l.known, s.line(0)); err != nil {
		t.Fatal(err)
	}
	writeText(t, l.identity+"-cert.pub", string(ssh.MarshalAuthorizedKey(cert)))
	other := filepath.Join(l.dir, "other")
	first := writeKey(t, other, "")
	old := &ssh.Certificate{Key: first.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := old.SignCert(must(os.Open("/dev/urandom")), ca); err != nil {
		t.Fatal(err)
	}
	writeText(t, other+"-cert.pub", string(ssh.MarshalAuthorizedKey(old)))
	l.config(t, "Host *\n IdentityFile "+other+"\n IdentityFile "+l.identity+"\n IdentityAgent none\n")
	l.Control = filepath.Join(l.dir, "state", "control")
	mustDial(t, l, s.target())
	before := offered
	offered = 0
	mustDial(t, l, s.target())
	if offered >= before || offered > 2 { // the question, and the signature
		t.Errorf("%d questions, then %d", before, offered)
	}
}
