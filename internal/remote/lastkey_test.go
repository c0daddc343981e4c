package remote

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
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
	if err := hostkeys.Append(l.known, s.line(0)); err != nil {
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

// The note of a server that left is removed, and so are those that nobody used for long.
func TestNotesAreRemoved(t *testing.T) {
	second := newKey(t)
	s := (&sshServer{accept: func(_ string, key ssh.PublicKey) bool { return hostkeys.Same(key, second.PublicKey()) }}).start(t)
	l := newLaptop(t, s)
	other := filepath.Join(l.dir, "other")
	second = writeKey(t, other, "")
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityFile "+other+"\n IdentityAgent none\n")
	l.Control = filepath.Join(l.dir, "state", "control")
	notes := filepath.Join(l.dir, "state", "keys")
	old, used := filepath.Join(notes, "old"), filepath.Join(notes, "used")
	writeText(t, old, "SHA256:x\n")
	writeText(t, used, "SHA256:x\n")
	long := time.Now().AddDate(-1, 0, 0)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	mustDial(t, l, s.target())
	names := func() (out []string) {
		for _, e := range must(os.ReadDir(notes)) {
			out = append(out, e.Name())
		}
		return out
	}
	if have := names(); len(have) != 2 || slices.Contains(have, "old") || !slices.Contains(have, "used") {
		t.Fatalf("notes %q", have)
	}
	note := filepath.Join(notes, strings.TrimPrefix(strings.Join(names(), ""), "used"))
	note = strings.TrimSuffix(note, "used")
	if err := os.Chtimes(note, long, long); err != nil {
		t.Fatal(err)
	}
	mustDial(t, l, s.target())
	if info := must(os.Stat(note)); time.Since(info.ModTime()) > time.Hour {
		t.Errorf("a note that is used is of %v", info.ModTime())
	}
	l.Forget(t.Context(), s.target())
	if have := names(); !slices.Equal(have, []string{"used"}) {
		t.Errorf("notes %q", have)
	}
}

// A server that hangs up after some keys, as dropbear does, refused the login: it is there.
func TestHungUpAfterKeys(t *testing.T) {
	for _, c := range []struct {
		after int
		want  error
		says  string
	}{{1, ErrUnreachable, "EOF"}, {2, ErrAuth, "ended the login, after it was asked about 2 keys"}} {
		var s *sshServer
		offered := 0
		s = (&sshServer{accept: func(string, ssh.PublicKey) bool {
			if offered++; offered >= c.after {
				s.active.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
			}
			return false
		}}).start(t)
		l := newLaptop(t, s)
		config := "Host *\n"
		for _, name := range []string{"a", "b", "c"} {
			writeKey(t, filepath.Join(l.dir, name), "")
			config += " IdentityFile " + filepath.Join(l.dir, name) + "\n"
		}
		l.config(t, config+" IdentityAgent none\n")
		_, err := l.Dial(t.Context(), s.target())
		_, next := hint.Of(err)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrAuth) != strings.Contains(next, "IdentityFile") {
			t.Errorf("after %d: %v, next %q", c.after, err, next)
		}
	}
}
