package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// keeping is a laptop whose ssh keeps its connections, and the socket of that to s. They end
// with the test.
func keeping(t *testing.T, s *sshServer, keep string) (l *laptop, socket string) {
	t.Helper()
	dir := t.TempDir()
	l = newLaptop(t, s)
	l.wait = time.Minute
	l.config(t, "Host *\n  IdentityFile "+l.identity+"\n  IdentityAgent none\n  ControlPath "+filepath.Join(dir, "%r@%h:%p")+"\n  "+keep+"\n")
	host, port, _ := net.SplitHostPort(s.addr)
	socket = filepath.Join(dir, "root@"+host+":"+port)
	t.Cleanup(func() {
		_ = exec.Command("ssh", "-F", l.SSHConfig, "-S", socket, "-O", "exit", host).Run() // there may be none
	})
	return l, socket
}

// up waits until ssh listens at socket.
func up(t *testing.T, socket string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(30 * time.Second); ; <-tick.C {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return
		}
		if time.Now().After(until) {
			t.Fatal("ssh opens no socket")
		}
	}
}

// TestSSHMakesAConnection for the commands that follow, where its configuration keeps one: one,
// and by a login of its own.
func TestSSHMakesAConnection(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, socket := keeping(t, s, "ControlMaster auto\n  ControlPersist 60")
	for range 2 { // two connections of one command
		if n := l.says(t, s, s.target()); n != 1 {
			t.Errorf("%d logins", n)
		}
		up(t, socket)
		if n := s.logins.Load(); n != 2 {
			t.Errorf("%d logins in all", n)
		}
		s.logins.Store(1)
		l.Anew = true // the second logs in, too, and has none made
	}
	l.Anew = false
	if n := l.says(t, s, s.target()); n != 0 {
		t.Errorf("the next command: %d logins", n)
	}
	if l.started[""] != 1 {
		t.Errorf("started %v", l.started)
	}
}

// TestSSHMakesNone where its configuration keeps none, or where flock goes another way.
func TestSSHMakesNone(t *testing.T) {
	s := (&sshServer{}).start(t)
	for _, keep := range []string{"ControlMaster auto", "ControlPersist 60", "ControlMaster ask\n  ControlPersist 60"} {
		l, _ := keeping(t, s, keep)
		l.says(t, s, s.target())
		if len(l.started) > 0 {
			t.Errorf("%s: %v", keep, l.started)
		}
	}
	l, _ := keeping(t, s, "ControlMaster auto\n  ControlPersist 60")
	keyed := s.target()
	keyed.Identity = l.identity
	l.says(t, s, keyed)
	fresh := s.target()
	fresh.Anew = true
	l.says(t, s, fresh)
	if len(l.started) > 0 {
		t.Errorf("have %v", l.started)
	}
	l, socket := keeping(t, s, "ControlMaster auto\n  ControlPersist 60")
	listener, err := net.Listen("unix", socket) // and nobody speaks: ssh would wait, too
	if err != nil {
		t.Fatal(err)
	}
	l.says(t, s, s.target())
	if len(l.started) > 0 {
		t.Errorf("beside one that hangs: %v", l.started)
	}
	listener.Close()

	l = newLaptop(t, s)
	l.config(t, "Host *\n  IdentityFile "+l.identity+"\n  IdentityAgent none\n  ControlMaster auto\n  ControlPersist 60\n  ControlPath "+l.dir+"/none/%r@%h:%p\n")
	l.says(t, s, s.target())
	if len(l.started) > 0 {
		t.Errorf("without a directory for the socket: %v", l.started)
	}
}

// TestSSHMakesNoneByHand: what a person must type or touch, ssh could not ask for.
func TestSSHMakesNoneByHand(t *testing.T) {
	s := (&sshServer{}).start(t)
	l, _ := keeping(t, s, "ControlMaster auto\n  ControlPersist 60")
	if err := os.Remove(l.identity); err != nil {
		t.Fatal(err)
	}
	writeKey(t, l.identity, "open sesame")
	l.Secret = func(string) ([]byte, error) { return []byte("open sesame"), nil }
	if n := l.says(t, s, s.target()); n != 1 || len(l.started) > 0 {
		t.Errorf("%d logins, started %v", n, l.started)
	}
}

// TestStartIsBounded: ssh that hangs is ended, and where it ends by itself nothing stays.
func TestStartIsBounded(t *testing.T) {
	for name, test := range map[string]struct{ ssh, sleep string }{
		"hangs": {"exec tail -f /dev/null", "exec /bin/sleep 0.01"},
		"ends":  {"exit 0", "exec /bin/sleep 0.2"},
	} {
		dir := t.TempDir()
		for program, text := range map[string]string{"ssh": test.ssh, "sleep": test.sleep} {
			if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", bounded, "ssh", "s1")
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		out, err := cmd.CombinedOutput() // ends when all have closed it
		if ctx.Err() != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestFewAtAJumpHost: each connection by way of a jump host costs a login there.
func TestFewAtAJumpHost(t *testing.T) {
	var d Dialer
	started := 0
	for i := range 3 * maxStarts {
		r, err := d.route(t.Context(), Target{Name: "s", Host: netip4(i), Jump: "root@192.0.2.1"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if d.mayStart(r) {
				started++
			}
		}
	}
	if started != maxStarts {
		t.Errorf("%d at once", started)
	}
	started = 0
	proxied := Dialer{SSHConfig: filepath.Join(t.TempDir(), "config")}
	if err := os.WriteFile(proxied.SSHConfig, []byte("Host *\n ProxyCommand ssh -W %h:%p bastion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxStarts {
		r, err := proxied.route(t.Context(), Target{Name: "s", Host: netip4(i)})
		if err != nil {
			t.Fatal(err)
		}
		if proxied.mayStart(r) {
			started++
		}
	}
	if started != maxStarts {
		t.Errorf("%d by proxies", started)
	}
	started = 0
	for i := range 2 * mostStarted {
		r, err := d.route(t.Context(), Target{Name: "s", Host: netip4(i)})
		if err != nil {
			t.Fatal(err)
		}
		if d.mayStart(r) {
			started++
		}
	}
	if started != mostStarted-maxStarts {
		t.Errorf("%d by one command", started+maxStarts)
	}
}

// netip4 is one of many addresses that nobody has.
func netip4(i int) string { return net.IPv4(192, 0, 2, byte(10+i)).String() }

// TestSSHLogsInWhereFlockCannot: with a password, which flock knows nothing of.
func TestSSHLogsInWhereFlockCannot(t *testing.T) {
	s := (&sshServer{secret: "mellon", accept: func(string, ssh.PublicKey) bool { return false }}).start(t)
	l, _ := keeping(t, s, "ControlMaster auto\n  ControlPersist 60")
	if _, err := l.Dial(t.Context(), s.target()); !errors.Is(err, ErrAuth) { // nobody can be asked
		t.Fatalf("have %v", err)
	}
	ask := filepath.Join(l.dir, "ask")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho mellon\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_ASKPASS", ask)
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	l.Secret = func(string) ([]byte, error) { return nil, errors.New("flock asks") }
	if n := l.says(t, s, s.target()); n != 1 {
		t.Errorf("%d logins", n)
	}
	if n := l.says(t, s, s.target()); n != 0 {
		t.Errorf("the next command: %d logins", n)
	}
}
