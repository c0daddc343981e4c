package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshd is an SSH server on loopback, with a host key of its own, that takes everybody in
// and starts for the agent this test binary, which behaves as it is told.
type sshd struct {
	t         *testing.T
	name, dir string
	port      int
	key       ssh.Signer
	behaviour atomic.Pointer[string]
	working   sync.WaitGroup
}

func newKey(t *testing.T) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

func newIdentity(t *testing.T, path string) {
	t.Helper()
	key, _ := newKey(t)
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newSSHD(t *testing.T, name string) *sshd {
	t.Helper()
	s := &sshd{t: t, name: name, dir: t.TempDir()}
	_, s.key = newKey(t)
	s.behave(honest)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	s.working.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.working.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.working.Wait()
	})
	return s
}

func (s *sshd) behave(as string) { s.behaviour.Store(&as) }

func (s *sshd) serve(conn net.Conn) {
	defer conn.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(s.key)
	_, chans, reqs, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		s.working.Go(func() { s.session(ch, reqs) })
	}
}

var agentCall = regexp.MustCompile(`flock/([0-9a-f]{16})/flock agent serve`)

func (s *sshd) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	for r := range reqs {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		status := 127
		if found := agentCall.FindStringSubmatch(string(r.Payload)); found != nil {
			status = s.agent(ch, found[1])
		} else if strings.Contains(string(r.Payload), "flock-probe") {
			_, _ = io.WriteString(ch, "flock-probe Linux "+runtime.GOARCH+" - /usr/local/lib/flock\n")
			status = 0
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		return
	}
}

// agent runs one agent until it ends, or until whoever called it hangs up.
func (s *sshd) agent(ch ssh.Channel, version string) int {
	self, err := os.Executable()
	if err != nil {
		s.t.Error(err)
		return 126
	}
	cmd := exec.Command(self, s.name, s.dir, version)
	cmd.Env = append(os.Environ(), hostileEnv+"="+*s.behaviour.Load())
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Error(err)
		return 126
	}
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return 126
	}
	go func() {
		_, _ = io.Copy(in, ch)
		in.Close()
	}()
	_ = cmd.Wait() // how it ended is in its status
	return max(cmd.ProcessState.ExitCode(), 0)
}

// sshConfig lets flock log in to servers.
func sshConfig(t *testing.T, servers ...*sshd) string {
	t.Helper()
	dir := t.TempDir()
	newIdentity(t, dir+"/id")
	var known strings.Builder
	for _, s := range servers {
		known.WriteString("[127.0.0.1]:" + strconv.Itoa(s.port) + " " + string(ssh.MarshalAuthorizedKey(s.key.PublicKey())))
	}
	text := "Host *\n  IdentityFile " + dir + "/id\n  IdentityAgent none\n  UserKnownHostsFile " + dir + "/known\n  GlobalKnownHostsFile none\n"
	for path, text := range map[string]string{"/config": text, "/known": known.String()} {
		if err := os.WriteFile(dir+path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir + "/config"
}
