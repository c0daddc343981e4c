package cli

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/flocknet/flock/internal/handover"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

// The pages: README.md, docs and those of examples. Each flock command in them, in a block or between
// backquotes, is one that there is, with options that it has; and each option that they name is
// typed by some walk.

// pageLine is a command in a page.
type pageLine struct{ page, text string }

// pagesOf reads the pages, by path from the top of the tree.
func pagesOf(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, root := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "examples"} {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".md" {
				return err
			}
			text, err := os.ReadFile(path)
			out[strings.TrimPrefix(filepath.ToSlash(path), "../../")] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var (
	blockLine  = regexp.MustCompile(`^(?:    |)(?:\$ )?(flock [a-z].*)$`)
	inlineCode = regexp.MustCompile("`(flock\\s[a-z][^`]*)`")
	remark     = regexp.MustCompile(`\s+#\s.*$`)
	shellEnd   = regexp.MustCompile(`^((?:[^'"]|'[^']*'|"[^"]*")*?)(?:\s(?:[|>]\s?[^\s.\]-]|·|&&\s)|;).*$`) // what a shell does with it
	pageFlag   = regexp.MustCompile(`(?:^|[\s\[|(])(-[a-zA-Z]|--[a-z][a-z0-9-]+)`)
	inCapitals = regexp.MustCompile(`\b[A-Z]{2,}\b|\bN\b|…|\.\.\.|\[`)
)

// linesOf are the commands of a page: of its blocks, where a line that is indented far goes on
// with the one above, and between backquotes.
func linesOf(page, text string) (out []pageLine) {
	var prose strings.Builder
	fenced, block := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		fence := strings.HasPrefix(line, "```")
		fenced = fenced != fence
		code := !fence && (fenced || strings.HasPrefix(line, "    "))
		m := blockLine.FindStringSubmatch(line)
		switch {
		case code && m != nil:
			out = append(out, pageLine{page, shellEnd.ReplaceAllString(remark.ReplaceAllString(m[1], ""), "$1")})
		case code && block && strings.HasPrefix(line, strings.Repeat(" ", 16)) && len(out) > 0:
			out[len(out)-1].text += " " + remark.ReplaceAllString(strings.TrimSpace(line), "")
		case !code:
			prose.WriteString(line + "\n")
		}
		block = code
	}
	for _, m := range inlineCode.FindAllStringSubmatch(prose.String(), -1) {
		out = append(out, pageLine{page, shellEnd.ReplaceAllString(strings.Join(strings.Fields(m[1]), " "), "$1")})
	}
	return out
}

// parsed is a command of the tree, and the options that a line gives it.
type parsed struct {
	cmd   *cobra.Command
	flags []string
}

// tree is one for all lines: nothing is parsed with it.
var tree = sync.OnceValue(func() *cobra.Command {
	root := bareTree()
	root.InitDefaultHelpCmd() // cobra adds it when it runs
	return root
})

// commandOf finds which command a line calls, and refuses options that it has not.
func commandOf(line string) (parsed, error) {
	words := strings.Fields(line)[1:]
	cmd, _, err := tree().Find(words)
	if err != nil {
		return parsed{}, err
	}
	if !cmd.HasParent() {
		return parsed{}, fmt.Errorf("there is no command %q", words[0])
	}
	cmd.InheritedFlags() // merges those of the root
	cmd.InitDefaultHelpFlag()
	own, _, _ := strings.Cut(line, " -- ") // what follows is another program's
	if cmd.Name() == "ssh" || cmd.Name() == "exec" {
		own = strings.Join(words[:1], " ")
	}
	p := parsed{cmd: cmd}
	for _, m := range pageFlag.FindAllStringSubmatch(own, -1) {
		flag, _ := handover.Lookup(cmd.Flags(), m[1])
		if flag == nil {
			return parsed{}, fmt.Errorf("%s has no option %s", cmd.CommandPath(), m[1])
		}
		p.flags = append(p.flags, flag.Name)
	}
	return p, nil
}

// checkLine refuses a line that flock would not take. What has placeholders is held against
// the options alone.
func checkLine(line string) error {
	if _, err := commandOf(line); err != nil {
		return err
	}
	named := len(strings.Fields(line)) == 2 // in passing
	if strings.Contains(line, " -- ") || inCapitals.MatchString(line) || named {
		return nil
	}
	return Advice(line, nil)
}

// TestCommandsOfPages: whoever types what a page shows is understood.
func TestCommandsOfPages(t *testing.T) {
	lines := 0
	for page, text := range pagesOf(t) {
		for _, line := range linesOf(page, text) {
			lines++
			if err := checkLine(line.text); err != nil {
				t.Errorf("%s: %q: %v", page, line.text, err)
			}
		}
	}
	if lines < 300 {
		t.Errorf("only %d commands are found", lines)
	}
}

// TestReadmeNamesEveryCommand: the README's table has every command, and the page about it.
func TestReadmeNamesEveryCommand(t *testing.T) {
	readme := pagesOf(t)["README.md"]
	for _, cmd := range tree().Commands() {
		if !cmd.Hidden && cmd.Name() != "help" && !regexp.MustCompile("(?m)^\\|.*`"+cmd.Name()+"`.*\\]\\(docs/.*\\|$").MatchString(readme) {
			t.Errorf("the README's table of commands has no row of %s", cmd.Name())
		}
	}
}

// TestWrongCommandIsFound: the checks of this file can fail.
func TestWrongCommandIsFound(t *testing.T) {
	for line, right := range map[string]bool{
		"flock addnetwork vx1 s1": true, "flock addnetwork vx1": false, "flock frobnicate": false, "flock status --wide": false,
		"flock createnetwork NAME vxlan [-s SUBNET] [--mtu N]": true, "flock createnetwork NAME vxlan [--speed N]": false,
		"flock setnetwork vx1 --mtu many": false, "flock each -- ls -Z": true, "flock ssh s1 ls -Z": true,
		"flock createnetwork vx1 vxlan --domain 'a; b' --mtu 1400": true, "flock createnetwork vx1 vxlan --domain 'a; b' --speed 1": false,
		`flock createnetwork vx1 vxlan --domain "a, b" --mtu many`: false,
	} {
		if err := checkLine(line); (err == nil) != right {
			t.Errorf("%q: right is %v, have %v", line, right, err)
		}
	}
	const page = "text `flock a\nb` text\n\n    $ flock c  # remark\n    flock d [x]\n                    [y]\n    out\n    flock f 'g; h | i' \"j; k\" l; flock m\n\n```\nflock e\n```\n"
	want := []string{"flock c", "flock d [x] [y]", `flock f 'g; h | i' "j; k" l`, "flock e", "flock a b"}
	var have []string
	for _, l := range linesOf("p", page) {
		have = append(have, l.text)
	}
	if !slices.Equal(want, have) {
		t.Errorf("want %q, have %q", want, have)
	}
}

// notWalked are options of pages that no walk types, and where they are tested.
var notWalked = map[string]string{
	"flock help":          "TestHelp has that of every command",
	"flock lab":           "prints its commands",
	"flock lab up --root": "walks begin so in their own words: lab N --root",
}

// TestOptionsOfPagesAreWalked: for each option that pages name of a command there is a walk
// that calls the command with it.
func TestOptionsOfPagesAreWalked(t *testing.T) {
	walked := map[string]bool{}
	for _, line := range walkedLines(t) {
		if p, err := commandOf(line); err == nil {
			walked[p.cmd.CommandPath()] = true
			for _, flag := range p.flags {
				walked[p.cmd.CommandPath()+" --"+flag] = true
			}
		}
	}
	missing := map[string]string{}
	for page, text := range pagesOf(t) {
		for _, line := range linesOf(page, text) {
			p, err := commandOf(line.text)
			if err != nil {
				continue // TestCommandsOfPages says so
			}
			for _, what := range append([]string{""}, p.flags...) {
				if what != "" {
					what = " --" + what
				}
				if what = p.cmd.CommandPath() + what; p.cmd.Runnable() && !walked[what] && notWalked[what] == "" {
					missing[what] = page
				}
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s names %q, which no walk types", missing[what], what)
	}
	for what := range notWalked {
		if walked[what] {
			t.Errorf("%q is walked: take it off the list", what)
		}
	}
}

// walkedLines are the commands of walks, of what pages run, and of the demo.
func walkedLines(t *testing.T) (out []string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../../cmd/flock/testdata/script/*.txtar", "../../examples/*/walk.txtar", "../../examples/demo/run.sh", "../../docs/*.md", "../../examples/*/README.md", "../../README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	call := regexp.MustCompile(`\bflock [a-z-](?:[^;&|"'\n]|'[^'\n]*')*`)
	runs := regexp.MustCompile(`(?s)<!-- run.*?-->\n\n((?:    .*?\n|\n)+)`)
	hidden := regexp.MustCompile(`(?s)<!-- walk\n.*?-->`)
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if filepath.Ext(path) == ".md" {
			text = strings.Join(append(hidden.FindAllString(text, -1), runs.FindAllString(text, -1)...), "\n")
		}
		for _, line := range call.FindAllString(text, -1) {
			out = append(out, remark.ReplaceAllString(line, ""))
		}
	}
	return out
}

// TestFilesOfPages: a cluster file that a page shows is one of examples, and can be read.
func TestFilesOfPages(t *testing.T) {
	fence := regexp.MustCompile("(?s)\n```toml\n(.*?)\n```\n")
	examples, err := filepath.Glob("../../examples/*/cluster.toml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for page, text := range pagesOf(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			found++
			if !slices.ContainsFunc(examples, func(path string) bool {
				text, err := os.ReadFile(path)
				return err == nil && strings.TrimSpace(string(text)) == strings.TrimSpace(m[1])
			}) {
				t.Errorf("%s shows a cluster file that is none of examples", page)
			}
			if _, err := state.Parse([]byte(m[1]), "default"); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if found == 0 {
		t.Error("no page shows a cluster file")
	}
}
