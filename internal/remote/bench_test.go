package remote

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
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
	target := Target{Name: "sshd", User: localUser(), Host: "127.0.0.1", Port: port}
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

// BenchmarkConfig10 finds out where ten servers lead, by configs of several kinds, beside
// the start of one program (ssh -G, the floor of this run). What flock evaluates by
// itself may cost a command no more than that; a Match exec with a command for each, what
// ten shells cost.
func BenchmarkConfig10(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config")
	writeText(b, path, "Host *\n User root\n")
	floor := time.Duration(1<<63 - 1)
	for range 20 {
		start := time.Now()
		if err := exec.CommandContext(b.Context(), "ssh", "-G", "-F", path, "a").Run(); err != nil {
			b.Fatal(err)
		}
		floor = min(floor, time.Since(start))
	}
	for _, c := range []struct {
		name, text string
		most       float64 // of floors
	}{
		{"plain", "", 1},
		{"match", "Match host s1,s3 user root\n Port 1\nMatch originalhost s2\n User u\n", 1},
		{"final", "Match final all\n GSSAPIAuthentication yes\n ForwardX11Trusted yes\n", 1},
		{"exec-of-one", "Match host s1 exec \"true\"\n Port 1\n", 1},
		{"exec", "Match exec true\n Port 1\n", 1},
		{"exec-of-each", "Match exec \"test %n = s1\"\n Port 1\n", 4},
		{"exec-by-ssh", "Match exec \"test %l\"\n Port 1\n", 60},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "config")
			writeText(b, path, c.text+"Host *\n User root\n")
			for b.Loop() {
				c := must(readConfig(path))
				var all sync.WaitGroup
				for i := range 10 {
					all.Go(func() {
						if _, err := c.route(b.Context(), Target{Name: fmt.Sprintf("s%d", i)}); err != nil {
							b.Error(err)
						}
					})
				}
				all.Wait()
			}
			ratio := b.Elapsed().Seconds() / float64(b.N) / floor.Seconds()
			b.ReportMetric(ratio, "floors")
			if ratio > c.most {
				b.Errorf("took %.1f times the start of a program, want at most %g", ratio, c.most)
			}
		})
	}
}
