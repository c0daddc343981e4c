package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/lab"
)

// Shells of logins that are not POSIX's, and a restricted one: first contact, and the next command;
// as root and by a sudo that asks.
func TestShells(t *testing.T) {
	lab.Need(t, "tcsh", "fish", "bash")
	rbash := filepath.Join(t.TempDir(), "rbash")
	if err := os.WriteFile(rbash, []byte("#!/bin/sh\nexec bash --restricted \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"/usr/bin/tcsh", "/usr/bin/fish", rbash} {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			s := asking(t, "word")
			s.shell = shell
			l := newLaptop(t, s)
			l.Secret = func(string) ([]byte, error) { return []byte("word"), nil }
			for _, target := range []Target{asAdmin(s), s.target()} {
				first := facts(t, mustDial(t, l, target)).Agent
				before := s.execs.Load()
				if again := facts(t, mustDial(t, l, target)).Agent; again != first || s.execs.Load()-before > 2 {
					t.Errorf("version %s, then %s with %d execs", first, again, s.execs.Load()-before)
				}
			}
		})
	}
}

// Logins that run something else than they are told: it is said, with what they said.
func TestBoundLogins(t *testing.T) {
	for name, test := range map[string]struct{ script, said string }{
		"nologin":      {"echo 'This account is currently not available.'; exit 1", "This account is currently not available."},
		"git-shell":    {"printf \"fatal: unrecognized command '%s'\" \"$(printf %s \"$2\" | tr -d '\\n')\" >&2; exit 128", "fatal: unrecognized command"},
		"ForceCommand": {"echo 'down for maintenance'", "down for maintenance"},
		"silent":       {"exit 1", "exit status 1"},
		"true":         {"exit 0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			shell := filepath.Join(t.TempDir(), "shell")
			if err := os.WriteFile(shell, []byte("#!/bin/sh\n"+test.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := (&sshServer{shell: shell}).start(t)
			l := newLaptop(t, s)
			for _, target := range []Target{s.target(), asAdmin(s)} {
				_, err := mustDial(t, l, target).Agent(t.Context())
				where, next := hint.Of(err)
				if !errors.Is(err, errBound) || !strings.Contains(err.Error(), test.said) || !strings.Contains(err.Error(), "log in as "+target.User) ||
					where != "server "+target.Name || !strings.Contains(next, target.User+"@127.0.0.1 echo ok") {
					t.Errorf("where %q, next %q, %v", where, next, err)
				}
			}
		})
	}
	// One that waits for a person.
	shell := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(shell, []byte("#!/bin/sh\necho 'Your choice (1-3)?'\ncat >/dev/null\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := (&sshServer{shell: shell}).start(t)
	l := newLaptop(t, s)
	l.Timeout = 2 * time.Second
	_, err := mustDial(t, l, s.target()).Agent(t.Context())
	if _, next := hint.Of(err); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "Your choice") || !strings.Contains(next, "echo ok") {
		t.Errorf("a menu: %v, next %q", err, next)
	}
}
