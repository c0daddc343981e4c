package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A server at another place is known by the key that it had at the former one; another key
// is asked about, and a place that has another key is not taken.
func TestKeyOfTheFormerPlace(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := (&sshServer{keys: []ssh.Signer{newKey(t), second}}).start(t)
	at := s.target()
	was := Target{Name: at.Name, User: at.User, Host: "192.0.2.1"}
	moved := at
	moved.Formerly = &was
	write := func(l *laptop, host string, key ssh.PublicKey) {
		if err := hostkeys.Append(l.known, knownhosts.Line([]string{host}, key)); err != nil {
			t.Fatal(err)
		}
	}
	for i, k := range s.keys { // whichever of its keys is known
		l := newLaptop(t)
		write(l, was.Host, k.PublicKey())
		mustDial(t, l, moved)
		if data, _ := os.ReadFile(l.known); !strings.Contains(string(data), s.line(i)) {
			t.Errorf("key %d was not written down:\n%s", i, data)
		}
		mustDial(t, l, at)
	}

	l := newLaptop(t)
	write(l, was.Host, newKey(t).PublicKey())
	refused(t, l, moved, ErrHostKeyUnknown, "--accept-new")
	l = newLaptop(t)
	refused(t, l, moved, ErrHostKeyUnknown, "--accept-new")

	l = newLaptop(t)
	write(l, was.Host, s.keys[0].PublicKey())
	write(l, s.addr, newKey(t).PublicKey())
	refused(t, l, moved, ErrHostKeyChanged)
}
