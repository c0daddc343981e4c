package remote

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshServer is an SSH server on loopback whose exec requests run a real shell.
// Its fields are set before start.
type sshServer struct {
	keys    []ssh.Signer // host keys; empty: one ed25519
	accept  func(user string, key ssh.PublicKey) bool
	secret  string   // a password that is taken, too; "": none is
	asks    []string // what is asked in each round of keyboard-interactive, without an end; empty: none is
	banner  string
	profile string // shell code in front of every command
	path    string // directory in front of PATH
	shell   string // "": /bin/sh
	delay   time.Duration
	env     bool // variables are taken (sshd_config(5), AcceptEnv LC_*)

	t      testing.TB
	addr   string
	hush   func() error // takes no more connections
	logins atomic.Int32
	execs  atomic.Int32
	conns  atomic.Int32
	cut    atomic.Int64 // close the connection after so many bytes from the client; 0: never
	mute   atomic.Bool  // answer nothing from now on
	most   atomic.Int32 // sessions of a connection at a time (sshd_config(5), MaxSessions); 0: any
	open   atomic.Int32 // sessions
	tidy   atomic.Bool  // sessions that wait for a command end when a command does, as dropbear's do
	active sync.Map     // net.Conn
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *sshServer) start(t testing.TB) *sshServer {
	t.Helper()
	s.t = t
	if s.keys == nil {
		s.keys = []ssh.Signer{newKey(t)}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr, s.hush = l.Addr().String(), l.Close
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			s.active.Store(conn, true)
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.active.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		serving.Wait()
	})
	return s
}

func (s *sshServer) serve(conn net.Conn) {
	defer conn.Close()
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if s.accept == nil || s.accept(c.User(), key) {
				return &ssh.Permissions{}, nil
			}
			return nil, errors.New("not this key")
		},
		// Runs before the client hears of its success.
		AuthLogCallback: func(_ ssh.ConnMetadata, _ string, err error) {
			if err == nil {
				s.logins.Add(1)
			}
		},
		BannerCallback: func(ssh.ConnMetadata) string { return s.banner },
	}
	if s.secret != "" {
		config.PasswordCallback = func(_ ssh.ConnMetadata, have []byte) (*ssh.Permissions, error) {
			if string(have) != s.secret {
				return nil, errors.New("not this password")
			}
			return &ssh.Permissions{}, nil
		}
	}
	if len(s.asks) > 0 {
		config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for {
				if _, err := ask("", "", s.asks, make([]bool, len(s.asks))); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, k := range s.keys {
		config.AddHostKey(k)
	}
	c, chans, reqs, err := ssh.NewServerConn(&rationed{Conn: conn, s: s}, config)
	if err != nil {
		return
	}
	var work sync.WaitGroup
	var here atomic.Int32 // sessions
	var unused sync.Map   // ssh.Channel
	work.Go(func() {
		for r := range reqs {
			if r.WantReply && !s.mute.Load() {
				r.Reply(false, nil)
			}
		}
	})
	for ch := range chans {
		switch ch.ChannelType() {
		case "session":
			if s.mute.Load() {
				continue
			}
			if most := s.most.Load(); most > 0 && here.Load() >= most {
				ch.Reject(ssh.Prohibited, "no more sessions")
				continue
			}
			here.Add(1)
			s.open.Add(1)
			work.Go(func() {
				s.session(ch, &unused, func() {
					here.Add(-1)
					s.open.Add(-1)
				})
			})
		case "direct-tcpip":
			work.Go(func() { forward(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, "no")
		}
	}
	c.Close()
	work.Wait()
}

// rationed ends a connection after the bytes that the server allows.
type rationed struct {
	net.Conn
	s    *sshServer
	seen int64
}

func (r *rationed) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.seen += int64(n)
	if cut := r.s.cut.Load(); cut > 0 && r.seen > cut {
		r.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	if r.s.delay > 0 {
		t := time.NewTimer(r.s.delay)
		<-t.C
	}
	return n, err
}

func (s *sshServer) session(nc ssh.NewChannel, unused *sync.Map, ended func()) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		ended()
		return
	}
	defer ch.Close()
	defer ended() // before the client hears of it
	unused.Store(ch, true)
	defer func() {
		if _, waited := unused.LoadAndDelete(ch); !waited && s.tidy.Load() {
			unused.Range(func(other, _ any) bool { other.(ssh.Channel).Close(); return true })
		}
	}()
	var env []string
	for r := range reqs {
		if r.Type != "exec" {
			var set struct{ Name, Value string }
			ok := s.env && r.Type == "env" && ssh.Unmarshal(r.Payload, &set) == nil
			if ok {
				env = append(env, set.Name+"="+set.Value)
			}
			r.Reply(ok, nil)
			continue
		}
		unused.Delete(ch)
		s.execs.Add(1)
		r.Reply(true, nil)
		var msg struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &msg); err != nil {
			return
		}
		status := s.run(ch, msg.Command, env)
		if status < 0 { // OpenSSH's sshd names the signal
			ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				Text   string
				Lang   string
			}{Signal: "SEGV"}))
			return
		}
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		return
	}
}

func (s *sshServer) run(ch ssh.Channel, command string, env []string) int {
	cmd := exec.Command(cmp.Or(s.shell, "/bin/sh"), "-c", s.profile+"\n"+command)
	cmd.Env = append(append(os.Environ(), "PATH="+s.path+":"+os.Getenv("PATH"), "FLOCK_TEST_SERVER="+s.addr), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 255
	}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	if err := cmd.Start(); err != nil {
		return 255
	}
	go func() {
		io.Copy(in, ch)
		in.Close()
	}()
	cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

func forward(nc ssh.NewChannel) {
	var to struct {
		Host  string
		Port  uint32
		From  string
		FPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &to); err != nil {
		nc.Reject(ssh.ConnectionFailed, "malformed")
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, reqs, err := nc.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(reqs)
	go func() {
		io.Copy(ch, conn)
		ch.Close()
	}()
	io.Copy(conn, ch)
	conn.Close()
}

func (s *sshServer) target() Target {
	host, port, _ := net.SplitHostPort(s.addr)
	n, _ := strconv.Atoi(port)
	return Target{Name: "s" + port, User: "root", Host: host, Port: uint16(n)}
}

// line is the known_hosts line of the server's i-th key.
func (s *sshServer) line(i int) string {
	return knownhosts.Line([]string{s.addr}, s.keys[i].PublicKey())
}

// laptop is a workstation: a home with keys and known hosts, and a Dialer that
// installs agents below install.
type laptop struct {
	*Dialer
	dir, known, identity, install string
	key                           ssh.Signer
	authorized                    ssh.PublicKey // on a real sshd; nil: key's
}

func newLaptop(t testing.TB, servers ...*sshServer) *laptop {
	t.Helper()
	dir := t.TempDir()
	l := &laptop{dir: dir, known: filepath.Join(dir, "known_hosts"), identity: filepath.Join(dir, "id"), install: filepath.Join(dir, "lib")}
	l.key = writeKey(t, l.identity, "")
	for _, s := range servers {
		if err := hostkeys.Append(l.known, s.line(0)); err != nil {
			t.Fatal(err)
		}
	}
	l.Dialer = &Dialer{
		Timeout: 5 * time.Second,
		Verbose: func(server, line string) { t.Logf("%s: %s", server, line) },
		Agents:  scriptAgent(t, "one"),
		paths:   paths{install: l.install, units: filepath.Join(dir, "units")},
	}
	l.config(t, "Host *\n  IdentityFile "+l.identity+"\n  IdentityAgent none\n")
	return l
}

// config writes the ssh config: text, then the host key files for all.
func (l *laptop) config(t testing.TB, text string) {
	t.Helper()
	l.SSHConfig, l.Dialer.config = filepath.Join(l.dir, "config"), nil
	text += "Host *\n  UserKnownHostsFile " + l.known + "\n  GlobalKnownHostsFile none\n"
	if err := os.WriteFile(l.SSHConfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeKey(t testing.TB, path, passphrase string) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// scriptAgent is a small agent program: it starts this test binary and greets
// with the version it was installed under. Mark makes programs differ.
func scriptAgent(t testing.TB, mark string) func(Build) (io.ReadCloser, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(b Build) (io.ReadCloser, error) {
		text := fmt.Sprintf("#!/bin/sh\n# %s %s\nexec %s \"$@\" \"$(basename \"$(dirname \"$0\")\")\"\n", mark, b.name(), self)
		return io.NopCloser(strings.NewReader(text)), nil
	}
}
