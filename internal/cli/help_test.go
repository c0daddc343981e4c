package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/help"
	"github.com/flocknet/flock/internal/network"
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
	for _, topic := range help.Topics() {
		if code := b.run("help", topic); code != command.ExitDone {
			t.Errorf("help %s: exit status %d: %s", topic, code, b.err.String())
		}
		name := "flock-help-" + topic + ".txt"
		seen[name] = true
		compare(t, filepath.Join("testdata", "help", name), b.out.Bytes())
	}
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

// Each type of network has its page, with the flags of createnetwork that it takes and no others.
func TestTypesHavePages(t *testing.T) {
	b := newBench(t, "")
	topics := help.Topics()
	for _, kind := range slices.Concat(network.Created(), network.TunnelTypes(), []string{network.BGP}) {
		if !slices.Contains(topics, kind) {
			t.Errorf("there is no page of the type %s", kind)
		}
	}
	for _, test := range []struct{ topic, has, lacks string }{
		{"vxlan", "-m, --group", "--topology"},
		{"l2", "--topology", "--group"},
		{"bridge", "--vlan", "--mtu"},
		{"host-gw", "--subnet-len", "--direct-routing"},
		{"vxlan-l3", "--direct-routing", "--topology"},
		{"ipip", "Flags of addtunnel for it:", "--group"},
		{"bgp", "Flags of createbgp for it:", "createnetwork for it"},
		{"gre", "--ttl", "createnetwork for it"},
		{"json", "host-key-changed", "{codes}"},
		{"kinds", "  wireguard ", "{types}"},
		{"ssh", "how flock logs in", "Codes"},
	} {
		b.run("help", test.topic)
		if text := b.out.String(); !strings.Contains(text, test.has) || strings.Contains(text, test.lacks) {
			t.Errorf("help %s: want %s and no %s:\n%s", test.topic, test.has, test.lacks, text)
		}
	}
	if b.run("help", "ssh"); !strings.HasPrefix(b.out.String(), "Log in to a server") && !strings.Contains(b.out.String(), "flock ssh SERVER") {
		t.Errorf("help ssh has not the command:\n%s", b.out.String())
	}
	if code := b.run("help", "vxlam"); code != command.ExitUsage {
		t.Errorf("help vxlam: exit status %d", code)
	}
}

// exampleErrors are what is wrong with the examples of a text of help: each line that begins with
// two blanks and flock is a command that is there, and is called with words and flags that it takes.
func exampleErrors(text string) (n int, errs []error) {
	for line := range strings.Lines(text) {
		example, is := strings.CutPrefix(strings.TrimRight(line, "\n"), "  flock ")
		if !is {
			continue
		}
		n++
		example = shellEnd.ReplaceAllString(remark.ReplaceAllString("flock "+example, ""), "$1")
		if err := Advice(example, nil); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", example, err))
		}
	}
	return n, errs
}

// The examples in help are commands that parse.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	count := 0
	hold := func(what, text string) {
		n, errs := exampleErrors(text)
		for _, err := range errs {
			t.Errorf("%s: %v", what, err)
		}
		count += n
		if n == 0 {
			t.Errorf("%s has no example", what)
		}
	}
	for name, cmd := range commandsOf(bareTree()) {
		if cmd.Long != "" {
			hold(name, cmd.Long)
		}
	}
	for _, topic := range help.Topics() {
		hold("topic "+topic, help.Topic(bareTree(), topic))
	}
	if count < 150 {
		t.Errorf("%d examples were found", count)
	}
	for _, bad := range []string{"  flock addnetwrok vx1 s1", "  flock addnetwork vx1", "  flock addnetwork vx1 s1 --froce", "  flock verify vx1 --bench=maybe >x", "  flock rollback 7 8 | cat"} {
		if _, errs := exampleErrors(bad); len(errs) != 1 {
			t.Errorf("%q passes", bad)
		}
	}
}

// The global flags that matter for a command are in its help: those of commands that change
// something, and which cluster it is; not where there is none.
func TestGlobalFlagsAreShown(t *testing.T) {
	b := newBench(t, "")
	for name, cmd := range commandsOf(bareTree()) {
		if cmd.Hidden {
			continue
		}
		b.run(append(strings.Fields(name), "--help")...)
		_, text, _ := strings.Cut(b.out.String(), "\nGlobal flags")
		about := cmd.Name() != "version" && cmd.Name() != "completion" && cmd.Name() != "help" && !strings.HasPrefix(name, "lab")
		for flag, want := range map[string]bool{"--cluster NAME": about, "--dry-run": command.Changes(cmd), "-y, --yes": command.Changes(cmd)} {
			if strings.Contains(text, flag) != want {
				t.Errorf("%s: %s in its help: %v", name, flag, !want)
			}
		}
	}
}

// Completion offers commands and topics after help.
func TestHelpCompletes(t *testing.T) {
	b := newBench(t, "")
	b.run("__complete", "help", "")
	words := strings.Split(b.out.String(), "\n")
	for _, want := range []string{"addnetwork", "vxlan", "undo", "exit-codes", "ssh"} {
		if i := slices.Index(words, want); i < 0 || slices.Contains(words[i+1:], want) {
			t.Errorf("completion of help offers %s not once: %v", want, words)
		}
	}
	b.run("__complete", "help", "lab", "")
	if text := b.out.String(); !strings.Contains(text, "up\n") || strings.Contains(text, "vxlan") {
		t.Errorf("after lab: %s", text)
	}
}
