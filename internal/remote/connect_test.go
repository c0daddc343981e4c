package remote

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// holding is a laptop that may hold connections, with an ssh config for the name web.
func holding(t *testing.T, servers ...*sshServer) (l *laptop, web func(*sshServer)) {
	t.Helper()
	l = newLaptop(t, servers...)
	l.Control = filepath.Join(t.TempDir(), "control")
	web = func(s *sshServer) {
		host, port, _ := net.SplitHostPort(s.addr)
		l.config(t, "Host web\n  HostName "+host+"\n  Port "+port+"\n  User root\nHost *\n  IdentityFile "+l.identity+"\n  IdentityAgent none\n")
	}
	web(servers[0])
	return l, web
}

// TestHeldConnection: it is used by us and by ssh, until it is dropped, or what it was made by
// says something else.
func TestHeldConnection(t *testing.T) {
	one, other := (&sshServer{}).start(t), (&sshServer{}).start(t)
	l, web := holding(t, one, other)
	target := Target{Name: "web"}
	if l.Held(t.Context(), target) {
		t.Error("held before it was made")
	}
	if err := l.Hold(t.Context(), target, false); err != nil {
		t.Fatal(err)
	}
	if !l.Held(t.Context(), target) {
		t.Error("not held")
	}
	if n := l.says(t, one, target); n != 0 {
		t.Errorf("%d logins", n)
	}
	before := one.logins.Load()
	args := l.Login(t.Context(), target)
	if out, err := exec.CommandContext(t.Context(), "ssh", append(args, "echo here")...).Output(); err != nil || string(out) != "here\n" || one.logins.Load() != before {
		t.Errorf("ssh %v: %q, %v, %d logins", args, out, err, one.logins.Load()-before)
	}
	web(other)
	if n := l.says(t, other, target); n != 1 {
		t.Errorf("the name leads elsewhere: %d logins there", n)
	}
	web(one)
	if ended, err := l.Drop(t.Context(), target); !ended || err != nil {
		t.Errorf("ended %v, %v", ended, err)
	}
	if ended, err := l.Drop(t.Context(), target); ended || err != nil {
		t.Errorf("again: ended %v, %v", ended, err)
	}
	if n := l.says(t, one, target); n != 1 {
		t.Errorf("after it was dropped: %d logins", n)
	}
}

// TestHeldConnectionThatHangs: it is gone around, and is said to be there still.
func TestHeldConnectionThatHangs(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, _ := holding(t, s)
	target := Target{Name: "web"}
	if err := l.Hold(t.Context(), target, false); err != nil {
		t.Fatal(err)
	}
	path, err := l.held(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ssh", append([]string{"-O", "check", "-o", "ControlPath=" + path}, l.SSHArgs(target)...)...).CombinedOutput()
	found := regexp.MustCompile(`pid=([0-9]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if n := l.says(t, s, target); n != 1 {
		t.Errorf("%d logins", n)
	}
	if ended, err := l.Drop(t.Context(), target); ended || err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("ended %v, %v", ended, err)
	}
	if slices.ContainsFunc(l.Login(t.Context(), target), func(a string) bool { return strings.HasPrefix(a, "ControlPath") }) {
		t.Error("ssh would wait for it")
	}
}
