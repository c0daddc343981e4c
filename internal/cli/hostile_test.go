package cli

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/seed"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// patient is how long a command may take when one of two servers lies. No lie here is one
// of silence.
const patient = 20 * time.Second

// desk is a workstation with two servers in its file: s1 lies, s2 does not.
type desk struct {
	t      *testing.T
	s1, s2 *sshd
	file   string
	config string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, s1: newSSHD(t, "s1"), s2: newSSHD(t, "s2"), file: filepath.Join(t.TempDir(), "default.toml")}
	d.config = sshConfig(t, d.s1, d.s2)
	for _, s := range []*sshd{d.s1, d.s2} {
		d.must("addserver", s.name, "root@127.0.0.1:"+strconv.Itoa(s.port))
	}
	d.must("createnetwork", "vx1", "vxlan")
	d.must("createnetwork", "wirex", "wireguard")
	return d
}

// run runs flock against the servers.
func (d *desk) run(args ...string) (code int, said string) {
	d.t.Helper()
	env := map[string]string{"FLOCK_STATE": d.file, "FLOCK_SSH_CONFIG": d.config, "HOME": filepath.Dir(d.file), "PATH": os.Getenv("PATH")}
	var out strings.Builder
	streams := screen.Streams{In: strings.NewReader(""), Out: &out, Err: &out}
	begun := time.Now()
	code = Main(context.Background(), append(args, "-y"), streams, func(name string) string { return env[name] })
	if took := time.Since(begun); took > patient {
		d.t.Errorf("%v took %v", args, took)
	}
	return code, out.String()
}

func (d *desk) must(args ...string) {
	d.t.Helper()
	if code, said := d.run(args...); code != command.ExitDone {
		d.t.Fatalf("%v: exit %d\n%s", args, code, said)
	}
}

func (d *desk) server(name string) *state.Server {
	d.t.Helper()
	c, err := state.Open(d.file, "default").Load(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return c.Servers[name]
}

// commands are those in which a server is asked for each operation.
var commands = map[string][]string{
	"greet":        {"addnetwork", "vx1", "s1", "s2"},
	spec.OpPlan:    {"addnetwork", "vx1", "s1", "s2"},
	spec.OpApply:   {"addnetwork", "vx1", "s1", "s2"},
	spec.OpConfirm: {"addnetwork", "vx1", "s1", "s2"},
	spec.OpKeys:    {"addnetwork", "wirex", "server", "s1"},
	spec.OpStatus:  {"status"},
	spec.OpPurge:   {"purge", "s1"},
}

// believed checks what flock made of a lie of s1.
func (d *desk) believed(op string, code int, said string) {
	d.t.Helper()
	wants := []int{command.ExitPartial}
	if op == spec.OpStatus || op == "greet" || op == spec.OpKeys {
		wants = []int{command.ExitFailed, command.ExitPartial, command.ExitDrift}
	}
	if !slices.Contains(wants, code) {
		d.t.Errorf("exit %d, want one of %v\n%s", code, wants, said)
	}
	if !strings.Contains(said, "s1") || len(said) > 100<<10 {
		d.t.Errorf("does not name s1, or in %d bytes: %.2000q", len(said), said)
	}
	if strings.ContainsAny(said, "\x1b\a\u202e") {
		d.t.Errorf("what a server sent reaches the screen: %q", said)
	}
	joins := commands[op][0] == "addnetwork"
	if c := d.server("s1").Confirmed; joins && c != nil && c.Sum != "" {
		d.t.Errorf("s1 is noted as confirmed: %+v", c)
	}
	if c := d.server("s2").Confirmed; slices.Contains(commands[op], "vx1") && (c == nil || c.Sum == "") {
		d.t.Errorf("s2, which does not lie, is not done\n%s", said)
	}
}

// Whatever an agent answers, it is not believed: the command fails, s1 is named and is not
// noted as done, s2 is, and when s1 stops lying the next apply brings everything.
func TestHostileAgent(t *testing.T) {
	cases := map[string][]string{"greet": slices.Sorted(maps.Keys(greetings))}
	for _, name := range slices.Sorted(maps.Keys(lies)) {
		for _, op := range lies[name].at {
			cases[op] = append(cases[op], name)
		}
	}
	if behaviours := len(greetings) + len(lies); behaviours < 50 {
		t.Errorf("%d behaviours", behaviours)
	}
	random := seed.New(t)
	for _, op := range slices.Sorted(maps.Keys(cases)) {
		names := cases[op]
		if testing.Short() { // make unit: some, other ones each time
			random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			names = names[:(len(names)+4)/5]
		}
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			if op == spec.OpStatus || op == spec.OpPurge {
				d.must("addnetwork", "vx1", "s1", "s2")
			}
			again := d.snapshot()
			for _, name := range names {
				t.Run(name, func(t *testing.T) {
					d.t = t
					again()
					d.meets(op, op+"/"+name)
				})
			}
		})
	}
}

// meets carries out what op is asked in, while s1 behaves as it is told.
func (d *desk) meets(op, behaviour string) {
	d.t.Helper()
	d.s1.behave(behaviour)
	code, said := d.run(commands[op]...)
	d.believed(op, code, said)
	if op == spec.OpPurge {
		d.leaves(behaviour)
	}
	d.s1.behave(honest)
	d.must("apply")
}

// snapshot returns what puts the file and what the servers hold back to what they are now.
func (d *desk) snapshot() (again func()) {
	d.t.Helper()
	was := map[string][]byte{d.file: nil, filepath.Join(d.s1.dir, heldFile): nil, filepath.Join(d.s2.dir, heldFile): nil}
	for path := range was {
		was[path], _ = os.ReadFile(path) // nil where there is none
	}
	return func() {
		for path, data := range was {
			err := os.WriteFile(path, data, 0o600)
			if data == nil {
				err = os.Remove(path)
			}
			if err != nil {
				d.t.Fatal(err)
			}
		}
	}
}

// leaves checks that a server that does not say that all is gone stays in the file.
func (d *desk) leaves(behaviour string) {
	d.t.Helper()
	d.s1.behave(honest)
	d.must("apply")
	d.must("delnetwork", "vx1", "s1")
	d.s1.behave(behaviour)
	if code, said := d.run("delserver", "s1"); code != command.ExitPartial || d.server("s1") == nil || !strings.Contains(said, "s1") {
		d.t.Errorf("delserver: exit %d, in the file: %v\n%s", code, d.server("s1") != nil, said)
	}
}

// A server that says of itself what blocks it is asked again.
func TestStoredNonsenseIsAskedAgain(t *testing.T) {
	d := newDesk(t)
	for _, arch := range []string{"../../x", "riscv64", "$(x)"} {
		data, err := os.ReadFile(d.file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "amd64", arch)
		if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d.must("addnetwork", "vx1", "s1", "s2")
		if now := d.server("s1").Facts.Arch; now != "amd64" {
			t.Errorf("%s stays %s", arch, now)
		}
		d.must("delnetwork", "vx1", "s1", "s2")
	}
}
