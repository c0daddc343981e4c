package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/remote/hostkeys"
	"github.com/flocknet/flock/internal/sshconfig"
)

// askingSudo is a sudo(8) that wants the password in the file beside it: with -n it refuses, with
// -S it asks three times. It notes its arguments.
const askingSudo = `#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/log"
[ "$1" = -n ] && { echo "sudo: a password is required" >&2; exit 1; }
[ "$1 $2" = "-S -p" ] || exit 9
of=admin
[ ! -e "$here/of" ] || read -r of <"$here/of"
prompt=${3%%\%p*}$of${3##*%p}
shift 3
for try in 1 2 3; do
	printf %s "$prompt" >&2
	IFS= read -r word || exit 1
	[ "$word" = "$(cat "$here/password")" ] && [ -e "$here/stranger" ] && { echo "admin is not in the sudoers file." >&2; exit 1; }
	[ "$word" = "$(cat "$here/password")" ] && exec "$@"
	echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
`

// asking starts a server whose sudo wants a password.
func asking(t *testing.T, password string) *sshServer {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "sudo"), []byte(askingSudo), 0o755),
		os.WriteFile(filepath.Join(dir, "password"), []byte(password+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return (&sshServer{path: dir}).start(t)
}

func asAdmin(s *sshServer) Target {
	target := s.target()
	target.User = "admin"
	return target
}

// The password of sudo is asked for once, and given to all servers that want it; one that refuses
// it has a question of its own. Nobody else sees it.
func TestSudoPassword(t *testing.T) {
	servers := []*sshServer{asking(t, "one for all"), asking(t, "one for all"), asking(t, "one for all"), asking(t, "another's")}
	other := servers[3].target().Name
	l := newLaptop(t, servers...)
	var said atomic.Value
	said.Store("")
	l.Verbose = func(_, line string) { said.Store(said.Load().(string) + line) }
	var prompts []string // Secret is called for one at a time
	l.Secret = func(prompt string) ([]byte, error) {
		prompts = append(prompts, prompt)
		if strings.HasSuffix(prompt, " on "+other+": ") {
			return []byte("another's"), nil
		}
		return []byte("one for all"), nil
	}
	facts(t, mustDial(t, l, asAdmin(servers[0]))) // that the other one is not the first
	for range 2 {
		for i, r := range Each(t.Context(), servers, 0, func(ctx context.Context, s *sshServer) (*Session, error) {
			c, err := l.Dial(ctx, asAdmin(s))
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { c.Close() })
			return c.Agent(ctx)
		}) {
			if r.Err != nil {
				t.Fatalf("server %d: %s", i, hint.Text("agent", r.Err))
			}
			if _, err := r.Value.Do(t.Context(), request("facts"), nil); err != nil {
				t.Fatal(err) // what the password left in its input
			}
		}
	}
	if len(prompts) != 2 || prompts[0] != "password of sudo for admin on "+servers[0].target().Name+", and where else it is wanted: " || !strings.Contains(prompts[1], "admin on "+other) {
		t.Fatalf("asked %q", prompts)
	}
	gone := asAdmin(servers[0])
	gone.Quiet = true
	before, _ := os.ReadFile(filepath.Join(servers[0].path, "log"))
	if _, err := mustDial(t, l, gone).Agent(t.Context()); !errors.Is(err, ErrSudo) || len(prompts) != 2 {
		t.Errorf("a server that left the cluster: %v, asked %q", err, prompts)
	}
	after, _ := os.ReadFile(filepath.Join(servers[0].path, "log"))
	if strings.Count(string(after), "-S") != strings.Count(string(before), "-S") {
		t.Errorf("a server that left the cluster was given a password:\n%s", after)
	}
	for _, s := range servers {
		log, err := os.ReadFile(filepath.Join(s.path, "log"))
		if err != nil || strings.Contains(string(log), "one for all") || strings.Contains(string(log), "another's") {
			t.Errorf("in sudo's arguments:\n%s%v", log, err)
		}
	}
	if strings.Contains(said.Load().(string), "one for all") {
		t.Error("a line of --verbose has the password")
	}
}

// A server that takes the password and refuses by policy says so, and speaks for no other.
func TestSudoersOfOneServer(t *testing.T) {
	servers := []*sshServer{asking(t, "right"), asking(t, "right")}
	l := newLaptop(t, servers...)
	if err := os.WriteFile(filepath.Join(servers[0].path, "stranger"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.Secret = func(string) ([]byte, error) { return []byte("right"), nil }
	_, err := mustDial(t, l, asAdmin(servers[0])).Agent(t.Context())
	_, next := hint.Of(err)
	if !errors.Is(err, ErrSudo) || errors.Is(err, ErrAgent) || !strings.HasSuffix(err.Error(), "for admin: admin is not in the sudoers file.") || !strings.Contains(next, "NOPASSWD") {
		t.Errorf("%v, next %q", err, next)
	}
	facts(t, mustDial(t, l, asAdmin(servers[1])))
}

// The workstation's own password is no server's, though it has a user of that name.
func TestPasswordOfTheWorkstation(t *testing.T) {
	c := &Conn{d: &Dialer{}, target: Target{Name: Local}}
	if who, others := c.whose(c.wanted(c.user())); who != c.user()+" on local" || others != "" {
		t.Errorf("%q%s", who, others)
	}
}

// A wrong password is not tried on server after server: accounts are locked that way. Who has none
// to give is asked once.
func TestSudoPasswordRefused(t *testing.T) {
	for name, test := range map[string]struct {
		word  string
		err   error
		asked int
		want  string
	}{
		"wrong": {"wrong", nil, 3, "3 incorrect password attempts"},
		"none":  {"", errors.New("end of input"), 1, "end of input"},
	} {
		t.Run(name, func(t *testing.T) {
			servers := []*sshServer{asking(t, "right"), asking(t, "right")}
			l := newLaptop(t, servers...)
			asked := 0
			l.Secret = func(string) ([]byte, error) { asked++; return []byte(test.word), test.err }
			for _, s := range servers {
				_, err := mustDial(t, l, asAdmin(s)).Agent(t.Context())
				if _, next := hint.Of(err); !errors.Is(err, ErrSudo) || !strings.Contains(err.Error(), test.want) || !strings.Contains(next, "NOPASSWD") {
					t.Fatalf("%v, next %q", err, next)
				}
			}
			log, _ := os.ReadFile(filepath.Join(servers[1].path, "log"))
			if asked != test.asked || strings.Count(string(log), "-S") != 1 {
				t.Errorf("asked %d times, want %d; the second server's sudo:\n%s", asked, test.asked, log)
			}
		})
	}
	s := asking(t, "right")
	_, err := mustDial(t, newLaptop(t, s), asAdmin(s)).Agent(t.Context())
	if _, next := hint.Of(err); !errors.Is(err, ErrSudo) || !strings.Contains(next, "terminal") {
		t.Errorf("without a terminal: %v, next %q", err, next)
	}
}

// Where there is no sudo, doas is used; where there is neither, both are named.
func TestDoas(t *testing.T) {
	dir := t.TempDir()
	doas := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "doas"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"sh", "echo", "printf", "cat", "mkdir", "rm", "wc", "sha256sum", "chmod", "sync", "mv", "grep", "uname", "gzip", "basename", "dirname", "ls"} {
		if err := os.Symlink("/bin/"+tool, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	s := (&sshServer{profile: "PATH=" + dir}).start(t)
	l := newLaptop(t, s)
	_, err := mustDial(t, l, asAdmin(s)).Agent(t.Context())
	if !errors.Is(err, ErrSudo) || !strings.Contains(err.Error(), "neither sudo nor doas") {
		t.Fatalf("with neither: %v", err)
	}
	l.ways = nil // another command
	doas("[ \"$1\" = -n ] && shift && exec \"$@\"\n")
	facts(t, mustDial(t, l, asAdmin(s)))
	l.ways = nil
	doas("echo 'doas: Authentication required' >&2\nexit 1\n")
	_, err = mustDial(t, l, asAdmin(s)).Agent(t.Context())
	if _, next := hint.Of(err); !errors.Is(err, ErrSudo) || !strings.Contains(next, "permit nopass admin") {
		t.Fatalf("%v, next %q", err, next)
	}
}

// What a shell prints of the command line is no question: nothing is written before sudo asks, and
// nothing after it has given up.
func TestOnlySudosQuestion(t *testing.T) {
	for said, want := range map[string]string{
		"flock-asks-for-the-password-of-admin:":                                                 "admin",
		"lecture\nflock-asks-for-the-password-of-root:":                                         "root",
		"[sudo: flock-asks-for-the-password-of-admin:] Password: ":                              "admin",
		"flock-asks-for-the-password-of-a:Sorry, try again.\nflock-asks-for-the-password-of-b:": "b",
		"+ sudo -S -p flock-asks-for-the-password-of-%p:":                                       "",
		"+ sudo -S -p flock-asks-for-the-password-of-%p: sh -c 'echo flock-is-root'\n":          "",
		"flock-asks-for-the-password-of-admin:\n":                                               "",
		"flock-asks-for-the-password-of-admin:sudo: timed out reading password":                 "",
		"flock-asks-for-the-password-of-" + strings.Repeat("x", 300) + ":":                      "",
	} {
		t.Run(said, func(t *testing.T) {
			out := &tail{}
			questions := out.question(0)
			for i := range len(said) { // byte by byte, as slow shells do
				_, _ = out.Write([]byte(said[i : i+1]))
			}
			q, ok := out.asks()
			if have := q.user; have != want || ok != (want != "") {
				t.Errorf("%q asks for %q", said, have)
			}
			select {
			case q := <-questions:
				if want == "" && out.waits(q) {
					t.Errorf("an answer would be written after %q", said)
				}
			default:
				if want != "" {
					t.Errorf("%q asks nobody", said)
				}
			}
		})
	}

	s := asking(t, "secret")
	s.profile = "set -x"
	l := newLaptop(t, s)
	asked := 0
	l.Secret = func(string) ([]byte, error) { asked++; return []byte("secret"), nil }
	facts(t, mustDial(t, l, asAdmin(s)))
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	// One that wants none is given none, and its command gets nothing of it.
	if err := os.WriteFile(filepath.Join(s.path, "sudo"), []byte("#!/bin/sh\n[ \"$1\" = -S ] && shift 3 && exec \"$@\"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	facts(t, mustDial(t, l, asAdmin(s)))
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// sudo may want another user's password (sudoers(5), targetpw): that is the one that is named, and
// it is no other user's.
func TestWhosePassword(t *testing.T) {
	own, roots := asking(t, "admin's"), asking(t, "root's")
	l := newLaptop(t, own, roots)
	if err := os.WriteFile(filepath.Join(roots.path, "of"), []byte("root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var prompts []string
	l.Secret = func(prompt string) ([]byte, error) {
		prompts = append(prompts, prompt)
		if strings.HasPrefix(prompt, "password of sudo for root on "+roots.target().Name+", which sudo wants of admin, and where else it is wanted") {
			return []byte("root's"), nil
		}
		return []byte("admin's"), nil
	}
	for _, s := range []*sshServer{own, roots} {
		facts(t, mustDial(t, l, asAdmin(s)))
	}
	if len(prompts) != 2 || !strings.HasSuffix(prompts[1], " (2 servers have this login): ") {
		t.Errorf("asked %q", prompts)
	}

	// A server that changes its mind is given nothing more.
	turns := asking(t, "never")
	if err := hostkeys.Append(l.known, turns.line(0)); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(askingSudo, "\techo \"Sorry", "\tprompt=flock-asks-for-the-password-of-root:\n\techo \"Sorry", 1)
	if err := os.WriteFile(filepath.Join(turns.path, "sudo"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	l.Dialer = &Dialer{SSHConfig: l.SSHConfig, Agents: l.Agents, paths: l.paths, Secret: func(string) ([]byte, error) { return []byte("wrong"), nil }}
	_, err := mustDial(t, l, asAdmin(turns)).Agent(t.Context())
	if !errors.Is(err, ErrSudo) || !strings.Contains(err.Error(), "it asks for the password of admin, then of root") {
		t.Errorf("error %v", err)
	}
}

// A server that makes up names of users gets no other server's password.
func TestNamesOfUsersMeetNoOthers(t *testing.T) {
	names := []string{"admin", "root", "root on s2", "root by admin", "root by admin on s2", `root" by "admin`, `root" by "admin" on "s2`, "admin on s2"}
	seen := map[string]string{}
	for _, server := range []string{"s1", "s2"} {
		c := &Conn{d: &Dialer{}, target: Target{Name: server}, link: &link{route: &route{Route: &sshconfig.Route{User: "admin"}}}}
		for _, name := range names {
			w := c.wanted(name)
			for key, whose := range map[string]string{w.who: name, w.on: name + "\x00" + server} {
				if other, ok := seen[key]; ok && other != whose {
					t.Errorf("%q is the password of %q, and of %q", key, whose, other)
				}
				seen[key] = whose
			}
		}
	}
}

// What sudo warns of is not why a command failed.
func TestWarningsOfSudo(t *testing.T) {
	const warning = "echo 'sudo: unable to resolve host s1: Name or service not known' >&2\n"
	s := asking(t, "none")
	sudo := func(text string) {
		if err := os.WriteFile(filepath.Join(s.path, "sudo"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l := newLaptop(t, s)
	l.paths.install = "/proc/none"
	for what, text := range map[string]string{"before": warning + "shift\nexec \"$@\"\n", "after": "shift\n\"$@\"\nstatus=$?\n" + warning + "exit $status\n"} {
		sudo(text)
		if _, err := mustDial(t, l, asAdmin(s)).Agent(t.Context()); errors.Is(err, ErrSudo) || !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), "/proc/none: No such file") {
			t.Errorf("a warning %s: %v", what, err)
		}
	}
	for what, text := range map[string]string{"before": warning + "echo 'sudo: a password is required' >&2\nexit 1\n", "after": "echo 'sudo: a password is required' >&2\n" + warning + "exit 1\n"} {
		sudo(text)
		if _, err := mustDial(t, l, asAdmin(s)).Agent(t.Context()); !errors.Is(err, ErrSudo) || !strings.HasSuffix(err.Error(), ": sudo: a password is required") {
			t.Errorf("a warning %s a refusal: %v", what, err)
		}
	}
}

// csh says with another status and in other words that there is no sudo.
func TestDoasBelowCsh(t *testing.T) {
	dir := t.TempDir()
	shell := "#!/bin/sh\ncase $2 in *sudo*) echo 'sudo: Command not found.' >&2; exit 1;; esac\nexec /bin/sh \"$@\"\n"
	doas := "#!/bin/sh\n[ \"$1\" = -n ] && shift && exec \"$@\"\n"
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "csh"), []byte(shell), 0o755), os.WriteFile(filepath.Join(dir, "doas"), []byte(doas), 0o755)); err != nil {
		t.Fatal(err)
	}
	s := (&sshServer{path: dir, shell: filepath.Join(dir, "csh")}).start(t)
	facts(t, mustDial(t, newLaptop(t, s), asAdmin(s)))
}
