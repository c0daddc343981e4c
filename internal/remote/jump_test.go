package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/hostkeys"
	"golang.org/x/crypto/ssh"
)

func TestManyBehindOneJump(t *testing.T) {
	bastion := (&sshServer{}).start(t)
	l := newLaptop(t, bastion)
	servers := make([]*sshServer, 20)
	for i := range servers {
		servers[i] = (&sshServer{}).start(t)
		if err := hostkeys.Append(l.known, servers[i].line(0)); err != nil {
			t.Fatal(err)
		}
	}
	results := Each(t.Context(), servers, 0, func(ctx context.Context, s *sshServer) (*Conn, error) {
		target := s.target()
		target.Jump = "root@" + bastion.addr
		return l.Dial(ctx, target)
	})
	for i, r := range results {
		if r.Err != nil {
			t.Fatal(hint.Text("dial", r.Err))
		}
		if err := r.Value.Reachable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := facts(t, r.Value); f.Hostname != servers[i].addr {
			t.Fatalf("server %s answered for %s", f.Hostname, servers[i].addr)
		}
	}
	if n := bastion.conns.Load(); n != 1 {
		t.Fatalf("%d connections to the jump host, want 1", n)
	}
	for _, r := range results {
		r.Value.Close()
	}
	if len(l.shared) != 0 {
		t.Fatal("the connection to the jump host is still there")
	}
}

func TestJumpsInARow(t *testing.T) {
	one, two, end := (&sshServer{}).start(t), (&sshServer{}).start(t), (&sshServer{}).start(t)
	l := newLaptop(t, one, two, end)
	port := func(s *sshServer) string { return fmt.Sprint(s.target().Port) }
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n User root\n"+
		"Host one\n HostName 127.0.0.1\n Port "+port(one)+"\n"+
		"Host two\n HostName 127.0.0.1\n Port "+port(two)+"\n"+
		"Host end\n HostName 127.0.0.1\n Port "+port(end)+"\n ProxyJump one,two\n"+
		"Host circle\n HostName 127.0.0.1\n ProxyJump circle\n")
	facts(t, mustDial(t, l, Target{Name: "end"}))
	for _, s := range []*sshServer{one, two, end} {
		if s.logins.Load() != 1 {
			t.Fatalf("%d logins on the way", s.logins.Load())
		}
	}
	facts(t, mustDial(t, l, Target{Name: "end", Jump: "none"}))
	if one.logins.Load() != 1 {
		t.Fatal("jumped in spite of none")
	}
	refused(t, l, Target{Name: "circle"}, ErrConfig, "in a circle")
}

func TestJumpFails(t *testing.T) {
	bastion := (&sshServer{accept: func(string, ssh.PublicKey) bool { return false }}).start(t)
	end := (&sshServer{}).start(t)
	l := newLaptop(t, bastion, end)
	target := end.target()
	target.Jump = "root@" + bastion.addr
	refused(t, l, target, ErrAuth, "jump host root@"+bastion.addr)
	target.Jump = "root@"
	refused(t, l, target, ErrConfig, "has no address")
	target.Jump = "root@,root@" + bastion.addr // the way to the way
	refused(t, l, target, ErrConfig, "has no address")
}

func TestServerBehindJumpIsDown(t *testing.T) {
	bastion, end := (&sshServer{}).start(t), (&sshServer{}).start(t)
	l := newLaptop(t, bastion, end)
	target := end.target()
	target.Jump = "root@" + bastion.addr
	target.Port = 1 // nobody listens there
	refused(t, l, target, ErrUnreachable, "ssh -J")
}

func TestProxyCommand(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	l.config(t, "Host *\n IdentityFile "+l.identity+"\n IdentityAgent none\n ProxyCommand "+must(os.Executable())+" proxy %h %p\n")
	c := mustDial(t, l, s.target())
	facts(t, c)
	if err := errors.Join(c.Reachable(t.Context()), c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestConfigOfTarget(t *testing.T) {
	l := newLaptop(t)
	if err := os.WriteFile(l.dir+"/more", []byte("Host inner\n HostName 10.1.1.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", l.dir) // which is not where ssh looks
	t.Setenv("KEYS", "/keys")
	home := must(user.Current()).HomeDir
	l.config(t, strings.NewReplacer("DIR", l.dir).Replace(`Include DIR/more
Match exec "false"
  User nobody
Host web-*
  HostName %h.example.com
  Port 2222
  IdentityFile ~/.ssh/%r@%h
  IdentityFile ${KEYS}/id
  HostKeyAlias alias
  ProxyJump first,second
Host 10.99.0.*
  User admin
  IdentityFile "DIR/my key"
Match host zed
  Port 99
Host *
  AddressFamily inet
  User deploy
`))
	route := func(target Target) *route {
		r, err := l.route(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := route(Target{Name: "web-1"})
	if r.Addr() != "web-1.example.com:2222" || r.User != "deploy" || r.Jump != "first,second" || r.KeyName != "alias:22" || r.Network != "tcp4" {
		t.Fatalf("%+v", r)
	}
	if want := home + "/.ssh/deploy@web-1.example.com /keys/id"; strings.Join(r.Identities, " ") != want {
		t.Fatalf("identities %v, want %s", r.Identities, want)
	}
	if r.Known[0] != l.known || len(r.Known) != 1 {
		t.Fatalf("known %v", r.Known)
	}
	r = route(Target{Name: "web-1", User: "me", Port: 1, Identity: "/k", Jump: "j"})
	if r.Port != 1 || r.User != "me" || r.Identities[0] != "/k" || r.Jump != "j" {
		t.Fatalf("the target does not win: %+v", r)
	}
	r = route(Target{Name: "s1", Host: "10.99.0.1"})
	if r.User != "admin" || r.Addr() != "10.99.0.1:22" || r.Identities[0] != l.dir+"/my key" {
		t.Fatalf("%+v", r)
	}
	if r = route(Target{Name: "inner"}); r.Host != "10.1.1.1" {
		t.Fatalf("Include: %+v", r)
	}
	if r = route(Target{Name: "zed"}); r.Port != 99 {
		t.Fatalf("Match host: %+v", r)
	}
	if r = route(Target{Name: "v6", Host: "fd00::1"}); r.Addr() != "[fd00::1]:22" || !strings.HasSuffix(r.Identities[0], "/.ssh/id_ed25519") {
		t.Fatalf("%+v", r)
	}
}

// TestBadWays: what cannot be meant is refused before anything is contacted.
func TestBadWays(t *testing.T) {
	l := newLaptop(t)
	for _, bad := range []Target{
		{Name: "s1", Host: "127.0.0.1", Identity: l.dir + "/none"},
		{Name: "s1", Host: "127.0.0.1", Identity: l.SSHConfig},
		{Name: "s1", Host: "127.0.0.1", Jump: "a:70000"},
	} {
		refused(t, l, bad, ErrConfig)
	}
	l.Dialer = &Dialer{SSHConfig: l.dir + "/none"}
	_, err := l.Dial(t.Context(), Target{Name: "s1", Host: "127.0.0.1", Identity: l.identity})
	if where, next := hint.Of(err); !errors.Is(err, ErrConfig) || where != l.dir+"/none" || next == "" {
		t.Errorf("an ssh config that is not there: where %q, next %q, %v", where, next, err)
	}
}
