package remote

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/sshconfig"
	"golang.org/x/crypto/ssh"
)

// BenchmarkSSHD measures against a real sshd on loopback, where there is one: a
// login; a login with one request to an agent in place; and, as the floor, what a
// bare x/crypto client needs for a login and `true`.
func BenchmarkSSHD(b *testing.B) {
	l := newLaptop(b)
	l.Verbose, l.AcceptNew, l.Agents = nil, true, nil
	target := sshd(b, l)
	b.Run("bare", func(b *testing.B) {
		config := &ssh.ClientConfig{
			User: target.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(l.key)},
			HostKeyCallback: ssh.InsecureIgnoreHostKey(), // what is measured is the handshake
		}
		for b.Loop() {
			c, err := ssh.Dial("tcp", fmt.Sprintf("%s:%d", target.Host, target.Port), config)
			if err != nil {
				b.Fatal(err)
			}
			s, err := c.NewSession()
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Run("true"); err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
	b.Run("login", func(b *testing.B) {
		for b.Loop() {
			c, err := l.Dial(b.Context(), target)
			if err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
	b.Run("request", func(b *testing.B) {
		for b.Loop() {
			fresh := &Dialer{SSHConfig: l.SSHConfig, paths: l.paths}
			c, err := fresh.Dial(b.Context(), target)
			if err != nil {
				b.Fatal(err)
			}
			s, err := c.Agent(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Do(b.Context(), request(spec.OpFacts), nil); err != nil {
				b.Fatal(err)
			}
			s.Close()
			c.Close()
		}
	})
}

// sshd starts OpenSSH on loopback for l's key.
func sshd(b *testing.B, l *laptop) Target {
	b.Helper()
	program, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir("/run/sshd", 0o755); err == nil { // where it locks itself up before a login
		b.Cleanup(func() { os.Remove("/run/sshd") })
	}
	port := freePort(b)
	writeKey(b, filepath.Join(l.dir, "hostkey"), "")
	keys := filepath.Join(l.dir, "authorized_keys")
	if err := os.WriteFile(keys, ssh.MarshalAuthorizedKey(l.key.PublicKey()), 0o600); err != nil {
		b.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-D", "-e", "-f", "/dev/null", "-p", fmt.Sprint(port), "-o", "ListenAddress=127.0.0.1",
		"-o", "HostKey="+filepath.Join(l.dir, "hostkey"), "-o", "AuthorizedKeysFile="+keys, "-o", "PidFile=none",
		"-o", "StrictModes=no", "-o", "UsePAM=no")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if b.Failed() {
			b.Log(log.String())
		}
	})
	target := Target{Name: "sshd", User: sshconfig.LocalUser(), Host: "127.0.0.1", Port: port}
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return target
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.Fatalf("sshd does not listen:\n%s", log.String())
		}
	}
}

func freePort(b *testing.B) uint16 {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
