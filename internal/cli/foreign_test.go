package cli

import (
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
)

// TestAStrangersFileIsAsked: what a file would use of whoever applies it, and the own one
// did not, is in the plan and asked about, once.
func TestAStrangersFileIsAsked(t *testing.T) {
	const login = "user = \"root\"\nidentity = \"/root/.ssh/other\"\njump = \"root@bastion\"\n"
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"the workstation":  {three + "[server.local]\n", []string{"make this workstation a server of the cluster"}},
		"a member":         {strings.Replace(three, `"s2:eth1"`, `"s2:eth1", "local"`, 1), []string{"make this workstation a member of vx1"}},
		"keys and jumps":   {three + "[server.s8]\naddress = \"10.99.0.8\"\n" + login + "[server.s9]\naddress = \"10.99.0.9\"\n" + login, []string{"log in to s8, s9 with the key /root/.ssh/other", "go to s8, s9 through root@bastion"}},
		"with a removal":   {strings.Replace(three, "[server.s3]\n", "[server.local]\n", 1), []string{"make this workstation a server", "remove server s3"}},
		"nothing to speak": {three, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, three)
			path := b.write("wish.toml", test.file)
			if code := b.call("plan", "-f", path); code != command.ExitDone && code != command.ExitDrift {
				t.Fatalf("plan: exit %d\n%s", code, b.err.String())
			}
			for _, want := range test.want {
				if !strings.HasPrefix(want, "remove") && !strings.Contains(b.out.String(), "note: cluster file: it would "+want) {
					t.Errorf("the plan does not say %q:\n%s", want, b.out.String())
				}
			}
			b.engine.contacts = 0
			code := b.call("apply", "-f", path)
			if len(test.want) == 0 {
				if code != command.ExitDone {
					t.Errorf("exit %d\n%s", code, b.err.String())
				}
				return
			}
			for _, want := range test.want {
				if code != command.ExitUsage || b.engine.contacts > 0 || !strings.Contains(b.err.String(), want) || !strings.Contains(b.err.String(), "--yes") {
					t.Errorf("exit %d, %d contacts\n%s", code, b.engine.contacts, b.err.String())
				}
			}
			b.answers = "n\n"
			if code := b.call("apply", "-f", path); code != command.ExitFailed || !strings.Contains(b.err.String(), "[y/N]") {
				t.Errorf("no: exit %d\n%s", code, b.err.String())
			}
			b.answers = ""
			if code := b.call("apply", "--yes", "-f", path); code != command.ExitDone {
				t.Fatalf("yes: exit %d\n%s", code, b.err.String())
			}
			if code := b.call("apply", "-f", path); code != command.ExitDone {
				t.Errorf("once more: exit %d\n%s", code, b.err.String())
			}
		})
	}
}

// TestAFileThatSaysNothing: what a failed command pipes in takes nothing away.
func TestAFileThatSaysNothing(t *testing.T) {
	b := newBench(t, three)
	for _, text := range []string{"", "\n \n", "# all of it\n#[server.s1]\n"} {
		path := b.write("wish.toml", text)
		for _, args := range [][]string{{"apply", "-f", path, "--yes"}, {"plan", "-f", path}} {
			if code := b.call(args...); code != command.ExitUsage || !strings.Contains(b.err.String(), "says nothing") {
				t.Errorf("%q of %q: exit %d, %s", args, text, code, b.err.String())
			}
		}
	}
	if b.engine.contacts != 0 {
		t.Errorf("%d contacts", b.engine.contacts)
	}
	if code := b.call("apply", "-f", b.write("wish.toml", "schema = 1\n"), "--yes"); code != command.ExitDone {
		t.Errorf("a cluster without servers: exit %d, %s", code, b.err.String())
	}
}
