package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/lab"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
)

func request(op string) *spec.Request { return &spec.Request{Op: op} }

// facts starts the agent on c and asks it for its version.
func facts(t *testing.T, c *Conn) *spec.Facts {
	t.Helper()
	s, err := c.Agent(t.Context())
	if err != nil {
		t.Fatal(hint.Text("agent", err))
	}
	defer s.Close()
	progress := ""
	reply, err := s.Do(t.Context(), request(spec.OpFacts), func(line string) { progress = line })
	if err != nil {
		t.Fatal(hint.Text("facts", err))
	}
	if progress != "looking" {
		t.Fatalf("progress %q", progress)
	}
	return reply.Facts
}

func versions(t *testing.T, l *laptop) []string {
	t.Helper()
	entries, err := os.ReadDir(l.install)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestAgentIsInstalledOnce(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	first := facts(t, mustDial(t, l, s.target()))
	if have := versions(t, l); len(have) != 1 || have[0] != first.Agent {
		t.Fatalf("installed %v, answered %s", have, first.Agent)
	}
	if n := s.execs.Load(); n != 3 {
		t.Fatalf("%d execs at first contact, want 3: try and probe, install, start", n)
	}
	facts(t, mustDial(t, l, s.target()))
	if n := s.execs.Load(); n != 4 {
		t.Fatalf("%d execs, want 1 where the agent is in place", n-3)
	}
	if n := s.logins.Load(); n != 2 {
		t.Fatalf("%d logins, want 2", n)
	}
}

func TestThisBinaryTravels(t *testing.T) {
	if travels(t, 6*time.Millisecond) {
		t.Fatal("a distant server got the program uncompressed")
	}
	// A busy machine may be slow to answer without any delay, but not every time.
	for range 10 {
		if travels(t, 0) {
			return
		}
	}
	t.Fatal("a near server never got the program uncompressed")
}

// travels sends this program to a server that answers after delay, checks what
// arrived, and says whether it went uncompressed.
func travels(t *testing.T, delay time.Duration) bool {
	t.Helper()
	s := (&sshServer{delay: delay}).start(t)
	l := newLaptop(t, s)
	l.Timeout = 20 * time.Second
	l.Agents = nil
	said := ""
	l.Verbose = func(_, line string) { said += line + "\n" }
	f := facts(t, mustDial(t, l, s.target()))
	want, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join(l.install, f.Agent, "flock"))
	if err != nil || string(have) != string(want) {
		t.Fatalf("%d bytes arrived of %d, %v", len(have), len(want), err)
	}
	plain, packed := strings.Contains(said, "(cat)"), strings.Contains(said, "(gzip -dc)")
	if plain == packed {
		t.Fatalf("delay %v: sent neither or both ways:\n%s", delay, said)
	}
	return plain
}

func TestNoiseAndBannerAreHarmless(t *testing.T) {
	s := (&sshServer{
		banner:  "Authorised use only.\n",
		profile: `echo "Welcome to $(hostname)"; printf 'flock/1 \000\377\n'; echo "mesg: ttyname failed" >&2`,
	}).start(t)
	l := newLaptop(t, s)
	facts(t, mustDial(t, l, s.target()))
}

func TestCutUploadIsNeverExecuted(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	ran := filepath.Join(l.dir, "ran")
	whole, err := io.ReadAll(must(scriptAgent(t, "cut")(Build{Arch: "amd64"})))
	if err != nil {
		t.Fatal(err)
	}
	// Executed when half of it has arrived, it would leave a trace. A busy machine takes the
	// link for a slow one and packs it: nothing comes of that.
	var noise strings.Builder
	random := seed.New(t)
	for range 1000 {
		noise.WriteString("#" + base64.StdEncoding.EncodeToString(seed.Bytes(random, 750)) + "\n")
	}
	agent := "#!/bin/sh\n" + noise.String() + strings.TrimPrefix(string(whole), "#!/bin/sh\n")
	agent = strings.Replace(agent, "\n", "\necho $0 >>"+ran+"\n", 1)
	l.Agents = func(Build) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(agent)), nil }
	for _, cut := range []int64{20_000, 100_000, 400_000} {
		s.cut.Store(cut)
		c := mustDial(t, l, s.target())
		if _, err := c.Agent(t.Context()); !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrAgent) {
			t.Fatalf("cut after %d: %v", cut, err)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Fatalf("cut after %d: half a program ran", cut)
		}
		installed, err := filepath.Glob(filepath.Join(l.install, "*", "flock"))
		if err != nil || installed != nil {
			t.Fatalf("cut after %d: %v is in place, %v", cut, installed, err)
		}
	}
	// What an installer that was killed leaves is swept.
	left := filepath.Join(l.install, ".tmp-4194305") // above any pid
	if err := errors.Join(os.MkdirAll(l.install, 0o755), os.WriteFile(left, []byte(agent[:1000]), 0o644)); err != nil {
		t.Fatal(err)
	}
	s.cut.Store(0)
	f := facts(t, mustDial(t, l, s.target()))
	// An installer that was cut a moment ago sweeps after itself.
	tick, late := time.NewTicker(10*time.Millisecond), time.After(5*time.Second)
	defer tick.Stop()
	for have := versions(t, l); len(have) != 1 || have[0] != f.Agent; have = versions(t, l) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("left in place: %v", have)
		}
	}
	if _, err := os.Stat(ran); err != nil {
		t.Fatal("the agent left no trace: the test proves nothing")
	}
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A disk that takes no agent is named, not the upload that it cut.
func TestDiskThatTakesNoAgent(t *testing.T) {
	lab.Need(t, "unshare")
	for mount, want := range map[string][2]string{
		"ro":                {"Read-only file system", "findmnt -T "},
		"size=4k":           {"No space left on device", "df -h "},
		"nr_inodes=1":       {"No space left on device", "df -h "},
		"ro,size=4k,mode=0": {"Read-only file system", "findmnt -T "},
	} {
		t.Run(mount, func(t *testing.T) {
			s := (&sshServer{}).start(t)
			l := newLaptop(t, s)
			s.shell = filepath.Join(l.dir, "shell")
			script := "#!/bin/sh\nexec unshare -m sh -c 'mount -t tmpfs -o " + mount + " none " + l.install + " && exec sh \"$@\"' sh \"$@\"\n"
			if err := errors.Join(os.Mkdir(l.install, 0o755), os.WriteFile(s.shell, []byte(script), 0o755)); err != nil {
				t.Fatal(err)
			}
			l.Agents = func(Build) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(strings.Repeat("#\n", 10000))), nil
			}
			c := mustDial(t, l, s.target())
			_, err := c.Agent(t.Context())
			_, next := hint.Of(err)
			if !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), l.install+": "+want[0]) || !strings.Contains(next, want[1]+l.install) {
				t.Errorf("want %s: %s and %s, have %v, next %s", l.install, want[0], want[1], err, next)
			}
		})
	}
}

// Where the first place takes no program the agent goes to the next; who knows that asks for
// nothing twice.
func TestPlaces(t *testing.T) {
	lab.Need(t, "unshare")
	for mount, why := range map[string]string{"ro": "Read-only file system", "noexec": "no program may run there (noexec)", "nr_inodes=1": "No space left on device"} {
		t.Run(mount, func(t *testing.T) {
			s := (&sshServer{}).start(t)
			l := newLaptop(t, s)
			first, second := filepath.Join(l.dir, "usr"), filepath.Join(l.dir, "opt", "flock")
			l.paths.install = first + "/lib:" + second
			s.shell = filepath.Join(l.dir, "shell")
			script := "#!/bin/sh\nexec unshare -m sh -c 'mount -t tmpfs -o " + mount + " none " + first + " && exec sh \"$@\"' sh \"$@\"\n"
			if err := errors.Join(os.Mkdir(first, 0o755), os.WriteFile(s.shell, []byte(script), 0o755)); err != nil {
				t.Fatal(err)
			}
			target := s.target()
			f := facts(t, mustDial(t, l, target))
			if _, err := os.Stat(filepath.Join(second, f.Agent, "flock")); err != nil || f.Place != second {
				t.Fatalf("the agent is in %q: %v", f.Place, err)
			}
			before := s.execs.Load()
			target.Place = f.Place
			if f := facts(t, mustDial(t, l, target)); f.Place != second || s.execs.Load() != before+1 {
				t.Errorf("%d execs for an agent in a known place %q", s.execs.Load()-before, f.Place)
			}
			before = s.execs.Load()
			for _, unknown := range []string{"", "/tmp/$(reboot)"} { // another workstation; a file that somebody edited
				target.Place = unknown
				if f := facts(t, mustDial(t, l, target)); f.Place != second {
					t.Errorf("place %q", f.Place)
				}
			}
			if have := s.execs.Load() - before; have != 4 {
				t.Errorf("%d execs, want 2 each: try and probe, start", have)
			}
			l.paths.install = first + "/lib:" + first + "/opt"
			target.Place = ""
			_, err := mustDial(t, l, target).Agent(t.Context())
			if want := first + "/lib: " + why + "; " + first + "/opt: " + why; !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), want) {
				t.Errorf("want %s, have %v", want, err)
			}
		})
	}
}

// After the first, a place counts only if nobody but root can put something there.
func TestPlacesOfOthers(t *testing.T) {
	lab.Need(t, "ls") // as root, who gives files away
	for what, spoil := range map[string]func(place string) error{
		"all may write": func(place string) error { return errors.Join(os.MkdirAll(place, 0o755), os.Chmod(place, 0o777)) },
		"a group may write": func(place string) error {
			return errors.Join(os.MkdirAll(place, 0o755), os.Chmod(filepath.Dir(place), 0o775))
		},
		"another's": func(place string) error { return errors.Join(os.MkdirAll(place, 0o755), os.Chown(place, 1000, 1000)) },
		"a link": func(place string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.Symlink(filepath.Dir(filepath.Dir(place)), place))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := (&sshServer{}).start(t)
			l := newLaptop(t, s)
			second, third := filepath.Join(l.dir, "opt", "flock"), filepath.Join(l.dir, "var", "flock")
			if err := spoil(second); err != nil {
				t.Fatal(err)
			}
			l.paths.install = "/proc/none:" + second + ":" + third
			if f := facts(t, mustDial(t, l, s.target())); f.Place != third {
				t.Errorf("the agent is in %q", f.Place)
			}
			l.paths.install = "/proc/none:" + second
			if _, err := mustDial(t, l, s.target()).Agent(t.Context()); err == nil || !strings.Contains(err.Error(), second+": others may write there") {
				t.Errorf("want the reason, have %v", err)
			}
		})
	}
}

func TestOlderVersionsAreSwept(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	old := facts(t, mustDial(t, l, s.target())).Agent
	kept := filepath.Join(l.install, "0123456789abcdef")
	if err := errors.Join(os.MkdirAll(kept, 0o755), os.MkdirAll(l.paths.units, 0o755)); err != nil {
		t.Fatal(err)
	}
	unit := "[Service]\nExecStart=" + kept + "/flock agent boot\n"
	if err := os.WriteFile(filepath.Join(l.paths.units, "flock-boot.service"), []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	next := &Dialer{SSHConfig: l.SSHConfig, Agents: scriptAgent(t, "two"), paths: l.paths}
	f := facts(t, mustDial(t, &laptop{Dialer: next}, s.target()))
	have := strings.Join(versions(t, l), " ")
	if f.Agent == old || strings.Contains(have, old) || !strings.Contains(have, f.Agent) || !strings.Contains(have, filepath.Base(kept)) {
		t.Fatalf("old %s, new %s, kept %s: there is %s", old, f.Agent, kept, have)
	}
}

// Something else under the agent's name is replaced, once.
func TestOtherVersionUnderOurName(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	v := facts(t, mustDial(t, l, s.target())).Agent
	path := filepath.Join(l.install, v, "flock")
	self := must(os.Executable())
	for _, other := range []string{"#!/bin/sh\nexec " + self + " agent serve ffffffffffffffff\n", "", "#!/bin/sh\nkill -SEGV $$\n", "#!/bin/sh\nexit 139\n"} {
		for _, arch := range []string{"", runtime.GOARCH} { // at first contact, and later
			if err := os.WriteFile(path, []byte(other), 0o644); err != nil {
				t.Fatal(err)
			}
			if other != "" {
				if err := os.Chmod(path, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			target := s.target()
			target.Arch = arch
			if again := facts(t, mustDial(t, l, target)).Agent; again != v {
				t.Fatalf("architecture %q: version %s, want %s", arch, again, v)
			}
		}
	}
}

// A login whose shell has another idea of GOMAXPROCS=1 in front of a command: csh and
// old fish complain, each in its way.
func TestShellWithoutAssignments(t *testing.T) {
	for _, complaint := range []string{
		"GOMAXPROCS=1: Command not found.' >&2; exit 1", "exec: GOMAXPROCS=1: not found' >&2; exit 127", // csh; a wrapper around commands
		`Unsupported use of "=". To run "GOMAXPROCS=1" with a modified environment, use env' >&2; exit 123`,
	} {
		shell := filepath.Join(t.TempDir(), "shell")
		script := "#!/bin/sh\ncase \"$2\" in *GOMAXPROCS=1*) echo '" + complaint + ";;\n" +
			"*!*|?*'\n'*) echo \"Unmatched '.\" >&2; exit 1;; esac\nexec /bin/sh \"$@\"\n"
		if err := os.WriteFile(shell, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		s := (&sshServer{shell: shell}).start(t)
		l := newLaptop(t, s)
		first := facts(t, mustDial(t, l, s.target())).Agent
		before := s.execs.Load()
		target := s.target()
		target.Arch = runtime.GOARCH // it is known by now
		if again := facts(t, mustDial(t, l, target)).Agent; again != first || s.execs.Load() != before+2 {
			t.Errorf("%s: version %s, then %s with %d execs", complaint, first, again, s.execs.Load()-before)
		}
	}
}

func TestScriptInOneLine(t *testing.T) {
	script := "a='it''s' # !\nprintf '%s|%s\\n' \"$a\" '\\0041 100%!' \"$(cat)\"\n\n"
	line := oneLine(script)
	if strings.ContainsAny(line, "\n!") || strings.Contains(line, `\'`) {
		t.Errorf("not for every shell: %s", line)
	}
	cmd := exec.Command("sh", "-c", "sh -c "+line)
	cmd.Stdin = strings.NewReader("input")
	out, err := cmd.CombinedOutput()
	if want := "its|\\0041 100%!\ninput|\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v, not %q", out, err, want)
	}
}

func TestAgentThatNeverGreets(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	l.Agents = func(Build) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("#!/bin/sh\necho cannot work here >&2\nexit 5\n")), nil
	}
	_, err := mustDial(t, l, s.target()).Agent(t.Context())
	if !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), "exit status 5: cannot work here") {
		t.Fatalf("error %v", err)
	}
	if _, next := hint.Of(err); next == "" {
		t.Fatal("no advice")
	}
}

func TestOtherArchitecture(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	script := l.Agents
	l.Agents = func(b Build) (io.ReadCloser, error) {
		if b.Arch != runtime.GOARCH {
			return nil, fmt.Errorf("no agent for %s", b.Arch)
		}
		return script(b)
	}
	target := s.target()
	target.Arch = "riscv64" // what it was before it was replaced, or said that it was
	facts(t, mustDial(t, l, target))
	l.Agents, l.programs = script, nil
	facts(t, mustDial(t, l, target))
	target.Arch = ""
	facts(t, mustDial(t, l, target))

	s.path = t.TempDir()
	uname := "#!/bin/sh\n[ \"$1\" = -s ] && echo Linux || echo riscv64\n"
	if err := os.WriteFile(filepath.Join(s.path, "uname"), []byte(uname), 0o755); err != nil {
		t.Fatal(err)
	}
	l.programs, l.Agents = nil, func(b Build) (io.ReadCloser, error) { return nil, fmt.Errorf("no agent for %s", b.Arch) }
	if _, err := mustDial(t, l, target).Agent(t.Context()); err == nil || !strings.Contains(err.Error(), "no agent for riscv64") {
		t.Fatalf("an architecture without agent: %v", err)
	}
}

func TestSudo(t *testing.T) {
	dir := t.TempDir()
	sudo := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := (&sshServer{path: dir}).start(t)
	l := newLaptop(t, s)
	target := s.target()
	target.User = "admin"
	sudo("echo \"$*\" >>" + dir + "/log\n[ \"$1\" = -n ] && shift && exec \"$@\"\n")
	facts(t, mustDial(t, l, target))
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || strings.Count(string(log), "-n sh -c") != 3 {
		t.Fatalf("sudo was called:\n%s%v", log, err)
	}
	sudo("echo 'sudo: a password is required' >&2\nexit 1\n")
	_, err = mustDial(t, l, target).Agent(t.Context())
	if _, next := hint.Of(err); !errors.Is(err, ErrSudo) || !strings.Contains(next, "admin ALL=(root) NOPASSWD") {
		t.Fatalf("error %v, next %q", err, next)
	}
	if err := os.Remove(filepath.Join(dir, "sudo")); err != nil {
		t.Fatal(err)
	}
	s.profile = "PATH=" + dir
	if _, err = mustDial(t, l, target).Agent(t.Context()); !errors.Is(err, ErrSudo) {
		t.Fatalf("without sudo: %v", err)
	}
}

func TestAgentDies(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	session, err := mustDial(t, l, s.target()).Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.Do(t.Context(), request(opDie), nil)
	if !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), "exit status 3: out of luck") {
		t.Fatalf("error %v", err)
	}
}

func TestConnectionLost(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	session, err := mustDial(t, l, s.target()).Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.cut.Store(1)
	if _, err = session.Do(t.Context(), request(opHang), nil); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("error %v", err)
	}
}

func TestRequestIsCalledOff(t *testing.T) {
	s := (&sshServer{}).start(t)
	l := newLaptop(t, s)
	session, err := mustDial(t, l, s.target()).Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := session.Do(ctx, request(opHang), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
}

func TestLocal(t *testing.T) {
	l := newLaptop(t)
	c, err := l.Dial(t.Context(), Target{Name: Local})
	if err != nil {
		t.Fatal(err)
	}
	c.root = isRoot // the test's directories belong to whoever runs it
	facts(t, c)
	facts(t, c)
	if err := c.Reachable(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := c.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Do(ctx, request(opHang), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if err := errors.Join(s.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	s, err = c.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Do(t.Context(), request(opDie), nil); !errors.Is(err, ErrAgent) || !strings.Contains(err.Error(), "out of luck") {
		t.Fatalf("error %v", err)
	}
}
