package remote

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/remote/hostkeys"
)

// master starts ssh with a connection to s that others may use, and waits for its socket.
func (l *laptop) master(t *testing.T, s *sshServer, socket string) *os.Process {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ssh", "-F", l.SSHConfig, "-M", "-N", "-S", socket, "-p", port, "-l", "root", "-o", "BatchMode=yes", host)
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(20 * time.Second); ; <-tick.C {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return cmd.Process
		}
		if time.Now().After(until) {
			t.Fatalf("ssh opens no socket: %s", errs.String())
		}
	}
}

// controlled is a laptop whose configuration names sockets.
func controlled(t *testing.T, s *sshServer, path string) (l *laptop, socket string) {
	t.Helper()
	dir := t.TempDir()
	l = newLaptop(t, s)
	l.config(t, "Host *\n  IdentityFile "+l.identity+"\n  IdentityAgent none\n  ControlPath "+filepath.Join(dir, path)+"\n")
	host, port, _ := net.SplitHostPort(s.addr)
	return l, filepath.Join(dir, "root@"+host+":"+port)
}

// says runs a command on a fresh connection, and says how many logins that took.
func (l *laptop) says(t *testing.T, s *sshServer, target Target) (logins int) {
	t.Helper()
	before := s.logins.Load()
	c, err := l.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // the second session is not the one that showed that the server answers
		var out, errs bytes.Buffer
		if status, err := c.Command(t.Context(), "echo here", &out, &errs); err != nil || status != 0 || out.String() != "here\n" {
			t.Fatalf("status %d, %v: %q", status, err, out.String())
		}
	}
	if err := c.Reachable(t.Context()); err != nil {
		t.Error(err)
	}
	return int(s.logins.Load() - before)
}

// TestMasterIsUsed: a connection that ssh has up takes the place of a login, unless flock is
// told to log in, or could not know that it is the right account's.
func TestMasterIsUsed(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := controlled(t, s, "%r@%h:%p")
	l.master(t, s, socket)
	if n := l.says(t, s, s.target()); n != 0 {
		t.Errorf("%d logins beside the one of ssh", n)
	}
	c, err := l.Dial(t.Context(), s.target())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	session, err := c.Agent(t.Context()) // installed first
	if err != nil {
		t.Fatal(err)
	}
	session.Close()
	other := s.target()
	other.User = "carl"
	if n := l.says(t, s, other); n != 1 {
		t.Errorf("another account: %d logins", n)
	}
	keyed := s.target()
	keyed.Identity = l.identity
	if n := l.says(t, s, keyed); n != 1 {
		t.Errorf("a key of the cluster file's own: %d logins", n)
	}
	fresh := s.target()
	fresh.Anew = true
	if n := l.says(t, s, fresh); n != 1 {
		t.Errorf("told to log in: %d logins", n)
	}
	l.Anew = true
	if n := l.says(t, s, s.target()); n != 1 {
		t.Errorf("told to log in everywhere: %d logins", n)
	}
}

// TestMasterHearsAGoodbye: an agent sees the end of its input when flock goes, though ssh's
// connection stays; it may have a change to undo.
func TestMasterHearsAGoodbye(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := controlled(t, s, "%r@%h:%p")
	l.master(t, s, socket)
	c, err := l.Dial(t.Context(), s.target())
	if err != nil {
		t.Fatal(err)
	}
	end := filepath.Join(t.TempDir(), "end")
	if _, err := c.shell.start(t.Context(), "cat; touch "+end, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(20 * time.Second); ; <-tick.C {
		if _, err := os.Stat(end); err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the command still waits for input")
		}
	}
}

// TestMasterOfAnybody: a path that all accounts share is no sign of the right one.
func TestMasterOfAnybody(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := controlled(t, s, "one")
	l.master(t, s, filepath.Join(filepath.Dir(socket), "one"))
	if n := l.says(t, s, s.target()); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// TestMasterByDigest: ssh is asked what %C comes to.
func TestMasterByDigest(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := controlled(t, s, "%C")
	host, port, _ := net.SplitHostPort(s.addr)
	out, err := exec.CommandContext(t.Context(), "ssh", "-F", l.SSHConfig, "-G", "-p", port, "-l", "root", host).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out) {
		if path, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("controlpath ")); ok {
			socket = string(path)
		}
	}
	l.master(t, s, socket)
	if n := l.says(t, s, s.target()); n != 0 {
		t.Errorf("%d logins beside the one of ssh", n)
	}
}

// TestMasterThatHangs: one that stands still, or has ended, is gone around.
func TestMasterThatHangs(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := controlled(t, s, "%r@%h:%p")
	process := l.master(t, s, socket)
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if n := l.says(t, s, s.target()); n != 1 {
		t.Errorf("it stands still: %d logins", n)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := process.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := l.says(t, s, s.target()); n != 1 {
		t.Errorf("it has ended: %d logins", n)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket) // and nobody speaks
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if n := l.says(t, s, s.target()); n != 1 {
		t.Errorf("nobody speaks: %d logins", n)
	}
}

// TestMasterPastAJumpHost: it needs no connection to the jump host, until a new connection to
// the server is to be proved. A path that says nothing of the jump host is no sign of the server.
func TestMasterPastAJumpHost(t *testing.T) {
	bastion, s := (&sshServer{}).start(t), (&sshServer{}).start(t)
	l, socket := controlled(t, s, "%r@%h:%p")
	if err := hostkeys.Append(l.known, bastion.line(0)); err != nil {
		t.Fatal(err)
	}
	l.master(t, s, socket)
	host, port, _ := net.SplitHostPort(bastion.addr)
	jump := "root@" + net.JoinHostPort(host, port)
	target := s.target()
	target.Jump = jump
	if n := l.says(t, s, target); n != 1 || bastion.logins.Load() != 1 {
		t.Errorf("another way: %d logins, %d at the jump host", n, bastion.logins.Load())
	}
	bastion.logins.Store(0)

	_, own, _ := net.SplitHostPort(s.addr)
	dir := filepath.Dir(socket)
	l.config(t, "Host behind\n  HostName "+host+"\n  Port "+own+"\n  ProxyJump "+jump+"\n  User root\nHost *\n  IdentityFile "+l.identity+
		"\n  IdentityAgent none\n  ControlPath "+filepath.Join(dir, "%r@%n:%p")+"\n")
	l.master(t, s, filepath.Join(dir, "root@behind:"+own))
	c, err := l.Dial(t.Context(), Target{Name: "behind"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n := bastion.logins.Load(); n != 0 {
		t.Errorf("%d logins at the jump host", n)
	}
	if err := c.Reachable(t.Context()); err != nil {
		t.Error(err)
	}
	if n := bastion.logins.Load(); n != 1 {
		t.Errorf("%d logins at the jump host for a new connection", n)
	}
}

// TestMasterWhoseServerDies: a command does not wait for ever.
func TestMasterWhoseServerDies(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := controlled(t, s, "%r@%h:%p")
	l.keepalive = 100 * time.Millisecond
	l.master(t, s, socket)
	c, err := l.Dial(t.Context(), s.target())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out, errs bytes.Buffer
	pipe := filepath.Join(t.TempDir(), "pipe")
	if status, err := c.Command(t.Context(), "mkfifo "+pipe, &out, &errs); err != nil || status != 0 {
		t.Fatalf("status %d, %v", status, err)
	}
	t.Cleanup(func() { release(t, pipe) })
	time.AfterFunc(100*time.Millisecond, func() { s.mute.Store(true) })
	if _, err := c.Command(t.Context(), "read x <"+pipe, &out, &errs); !errors.Is(err, ErrUnreachable) {
		t.Errorf("have %v", err)
	}
}
