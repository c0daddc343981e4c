package cli

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocknet/flock/internal/view"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The help of every command is kept: a flag or a promise that changes shows in
// the diff.
func TestHelp(t *testing.T) {
	b := newBench(t, "")
	seen := map[string]bool{}
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		if cmd.Hidden {
			return
		}
		if code := b.run(append(path, "--help")...); code != command.ExitDone {
			t.Errorf("%v: exit status %d: %s", path, code, b.err.String())
		}
		name := strings.Join(append([]string{"flock"}, path...), "-") + ".txt"
		seen[name] = true
		compare(t, filepath.Join("testdata", "help", name), b.out.Bytes())
		if cmd.Short == "" || !strings.Contains(cmd.Long, "\n  flock ") && len(path) < 2 {
			t.Errorf("%v: no short help, or no example", path)
		}
		for _, sub := range cmd.Commands() {
			walk(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	walk(newRoot(&app{&command.App{Page: view.Page{Getenv: func(string) string { return "" }}}}), nil)
	kept, err := os.ReadDir(filepath.Join("testdata", "help"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range kept {
		if !seen[e.Name()] {
			t.Errorf("%s is the help of no command", e.Name())
		}
	}
}

func compare(t *testing.T, path string, have []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, have, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(have) {
		t.Errorf("%s (-update rewrites it)\nwant:\n%s\nhave:\n%s", path, want, have)
	}
}

// TestWordsAreOffered: a flag that takes one of some words offers these, and no files.
func TestWordsAreOffered(t *testing.T) {
	asked := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			value, _ := pflag.UnquoteUsage(f)
			if !strings.Contains(value, "|") || strings.ToLower(value) != value {
				return // a value that a person chooses
			}
			asked++
			offer, ok := cmd.GetFlagCompletionFunc(f.Name)
			if !ok {
				t.Errorf("%s --%s offers files: want %s", cmd.CommandPath(), f.Name, value)
				return
			}
			if words, directive := offer(cmd, nil, ""); strings.Join(words, "|") != value || directive&cobra.ShellCompDirectiveNoFileComp == 0 {
				t.Errorf("%s --%s offers %v (%d): want %s", cmd.CommandPath(), f.Name, words, directive, value)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{&command.App{Page: view.Page{Getenv: func(string) string { return "" }}}}))
	if asked < 5 {
		t.Errorf("%d flags take words", asked)
	}
}
