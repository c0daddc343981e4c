//go:build linux

package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/lab"
)

// realSSHD starts OpenSSH's sshd on loopback, whose lines are on top of what it needs, for root
// with the laptop's key. Its log is at the path that it returns.
func realSSHD(t *testing.T, l *laptop, lines string) (port uint16, log string) {
	t.Helper()
	lab.Need(t, "sshd", "unshare", "ssh-keygen")
	dir := t.TempDir()
	hostKey := filepath.Join(dir, "host")
	writeKey(t, hostKey, "")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().(*net.TCPAddr)
	free.Close()
	keys := filepath.Join(dir, "authorized")
	pub := l.authorized
	if pub == nil {
		pub = l.key.PublicKey()
	}
	writeText(t, keys, string(ssh.MarshalAuthorizedKey(pub)))
	config := filepath.Join(dir, "sshd_config")
	writeText(t, config, lines+fmt.Sprintf("\nListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n", addr, hostKey, keys))
	log = filepath.Join(dir, "log")
	// It wants /run/sshd, which is not this machine's.
	cmd := exec.Command("unshare", "-m", "sh", "-c", "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec $(command -v sshd) -D -f "+config+" -E "+log)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/sbin:/usr/bin:/bin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	tick, late := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", addr.String()); err == nil {
			conn.Close()
			break
		}
		select {
		case <-tick.C:
		case <-late:
			text, _ := os.ReadFile(log)
			t.Fatalf("sshd does not listen:\n%s", text)
		}
	}
	l.know(t, addr.String(), hostKey)
	return uint16(addr.Port), log
}

// know has the laptop know the host key in a file of a server.
func (l *laptop) know(t *testing.T, addr, file string) {
	t.Helper()
	signer := must(ssh.ParsePrivateKey(must(os.ReadFile(file))))
	host, port, _ := net.SplitHostPort(addr)
	if err := hostkeys.Append(l.known, fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(signer.PublicKey()))); err != nil {
		t.Fatal(err)
	}
}

// behindBastion is how many servers there are: FLOCK_BEHIND, or 60.
func behindBastion(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("FLOCK_BEHIND"))
	if err != nil {
		return 60
	}
	t.Logf("%d servers", n)
	return n
}

// Many servers behind one sshd with its own MaxStartups 10:30:100: it drops no connection, whether
// it is a jump host or each server has a proxy command that logs in there; nor when they are tried
// anew after a change.
func TestBastionDropsNone(t *testing.T) {
	for name, way := range map[string]string{"ProxyJump": "ProxyJump bastion", "ProxyCommand": "ProxyCommand ssh -F %s -W %%h:%%p bastion"} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			l.Timeout = time.Minute // processes of ssh on a busy machine
			port, log := realSSHD(t, l, "LogLevel VERBOSE")
			servers := make([]*sshServer, behindBastion(t))
			for i := range servers {
				servers[i] = (&sshServer{}).start(t)
				line := knownhosts.Line([]string{fmt.Sprintf("localhost:%d", servers[i].target().Port)}, servers[i].keys[0].PublicKey())
				if err := hostkeys.Append(l.known, line); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(way, "%s") {
				way = fmt.Sprintf(way, filepath.Join(l.dir, "config"))
			}
			l.config(t, fmt.Sprintf("Host bastion\n HostName 127.0.0.1\n Port %d\n User root\nHost localhost\n %s\nHost *\n IdentityFile %s\n IdentityAgent none\n IdentitiesOnly yes\n KexAlgorithms curve25519-sha256\n", port, way, l.identity))
			start := time.Now()
			var behind atomic.Int32
			for i, r := range Each(t.Context(), servers, 0, func(ctx context.Context, s *sshServer) (*Conn, error) {
				target := s.target()
				target.Host = "localhost"
				c, err := l.Dial(ctx, target)
				if err != nil {
					return nil, err
				}
				t.Cleanup(func() { c.Close() })
				behind.Add(1)
				return c, c.Reachable(ctx)
			}) {
				if r.Err != nil {
					t.Errorf("server %d: %s", i, hint.Text("dial", r.Err))
				}
			}
			text := string(must(os.ReadFile(log)))
			logins := strings.Count(text, "Accepted publickey")
			t.Logf("%d servers in %s, %d logins at the bastion", behind.Load(), time.Since(start).Round(time.Millisecond), logins)
			if drops := strings.Count(text, "drop connection") + strings.Count(text, "MaxStartups"); drops > 0 {
				t.Errorf("the bastion dropped %d", drops)
			}
			if want := map[string]int{"ProxyJump": 1, "ProxyCommand": 2 * len(servers)}[name]; logins != want {
				t.Errorf("%d logins at the bastion, want %d", logins, want)
			}
		})
	}
}

// Behind proxy commands of which many are silent after a change, a server that answers is tried
// before those are tried again: its change would be undone meanwhile.
func TestSilentProxiesWaitBehindOthers(t *testing.T) {
	l := newLaptop(t)
	servers := make([]*sshServer, maxStarts+1)
	for i := range servers {
		servers[i] = (&sshServer{}).start(t)
		if err := hostkeys.Append(l.known, servers[i].line(0)); err != nil {
			t.Fatal(err)
		}
	}
	tries, proxy := filepath.Join(l.dir, "tries"), filepath.Join(l.dir, "proxy")
	script := fmt.Sprintf("#!/bin/sh\n[ ! -e %s/silent ] || echo $2 >>%s\n[ ! -e %s/silent ] || [ -e %s/answers-$2 ] || exec sleep 60\nexec %s proxy \"$@\"\n",
		l.dir, tries, l.dir, l.dir, must(os.Executable()))
	writeText(t, proxy, script)
	if err := os.Chmod(proxy, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Timeout = time.Minute
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n ProxyCommand "+proxy+" %h %p\n")
	conns := make([]*Conn, len(servers))
	for i, s := range servers {
		conns[i] = mustDial(t, l, s.target())
	}
	port := fmt.Sprint(servers[maxStarts].target().Port)
	writeText(t, filepath.Join(l.dir, "answers-"+port), "")
	writeText(t, filepath.Join(l.dir, "silent"), "")
	ctx, cancel := context.WithCancel(t.Context())
	var silent sync.WaitGroup
	defer silent.Wait()
	defer cancel()
	for _, c := range conns[:maxStarts] {
		silent.Go(func() { _ = c.Reachable(ctx) })
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	l.mu.Lock()
	lane := l.lanes["proxies"]
	l.mu.Unlock()
	for len(lane) < maxStarts {
		<-tick.C
	}
	if err := conns[maxStarts].Reachable(t.Context()); err != nil {
		t.Error(err)
	}
	before, _, _ := strings.Cut(string(must(os.ReadFile(tries))), port)
	if n := strings.Count(before, "\n"); n > 2*maxStarts {
		t.Errorf("silent servers were tried %d times before the one that answers", n)
	}
}
