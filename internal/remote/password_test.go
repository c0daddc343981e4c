package remote

import (
	"errors"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"golang.org/x/crypto/ssh"
)

// A password is asked for on a terminal where no key is taken, three times at most, and nowhere
// that the config forbids it.
func TestLoginByPassword(t *testing.T) {
	s := (&sshServer{secret: "right", accept: func(string, ssh.PublicKey) bool { return false }}).start(t)
	var asked []string
	answers := []string{}
	dial := func(lines string, terminal bool) error {
		l := newLaptop(t, s)
		l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n"+lines)
		asked = nil
		if terminal {
			l.Secret = func(prompt string) ([]byte, error) {
				if asked = append(asked, prompt); len(asked) > len(answers) {
					return nil, errors.New("end of input")
				}
				return []byte(answers[len(asked)-1]), nil
			}
		}
		c, err := l.Dial(t.Context(), s.target())
		if err == nil {
			facts(t, c)
			c.Close()
		}
		return err
	}
	answers = []string{"wrong", "right"}
	if err := dial("", true); err != nil || len(asked) != 2 || asked[0] != "root on "+s.target().Name+": password: " {
		t.Fatalf("asked %q, %v", asked, err)
	}
	answers = []string{"wrong", "wrong", "wrong", "right"}
	if err := dial("", true); !errors.Is(err, ErrAuth) || len(asked) != 3 {
		t.Fatalf("asked %q, %v", asked, err)
	}
	answers = nil
	if err := dial("", true); !errors.Is(err, ErrAuth) || len(asked) != 1 || !strings.Contains(err.Error(), "end of input") {
		t.Fatalf("asked %q, %v", asked, err)
	}
	answers = []string{"right"}
	for _, lines := range []string{" BatchMode yes\n", " PasswordAuthentication no\n"} {
		if err := dial(lines, true); !errors.Is(err, ErrAuth) || len(asked) != 0 {
			t.Errorf("%s asked %q, %v", lines, asked, err)
		}
	}
	err := dial("", false)
	if _, next := hint.Of(err); !errors.Is(err, ErrAuth) || !strings.Contains(next, "ssh-copy-id") {
		t.Errorf("without a terminal: %v, next %q", err, next)
	}
}

// A server's questions have an end, and what was typed is wiped.
func TestQuestionsHaveAnEnd(t *testing.T) {
	s := (&sshServer{asks: []string{"one", strings.Repeat("x", 5000)}, accept: func(string, ssh.PublicKey) bool { return false }}).start(t)
	l := newLaptop(t, s)
	var typed [][]byte
	longest := 0
	l.Secret = func(prompt string) ([]byte, error) {
		longest = max(longest, len(prompt))
		typed = append(typed, []byte("typed"))
		return typed[len(typed)-1], nil
	}
	_, err := l.Dial(t.Context(), s.target())
	if !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "more than 16 questions") {
		t.Errorf("error %v", err)
	}
	if len(typed) != mostQuestions || longest > 2*longestQuestion {
		t.Errorf("asked %d times, %d bytes at most", len(typed), longest)
	}
	for _, text := range typed {
		if strings.Trim(string(text), "\x00") != "" {
			t.Errorf("left in memory: %q", text)
		}
	}
}
