//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The commands of README.md and docs are run, in one walk on one lab, page after page; those of
// each example's README are a walk of their own, example-NAME, which begins its lab itself. In a
// page's source
//
//	<!-- run [PREFIX] -->    the commands of the indented block that follows are run; lines
//	                         below one that begins with a dollar are what it prints. After a
//	                         PREFIX that ends in "sh -c" each is typed as it stands into a shell
//	<!-- walk                what else the walk does at this place: lines of a walk, which
//	LINE...                  nobody sees who reads the page
//	-->
//
// Servers are those of the page about servers: s1, s2 and s3. A page that makes networks takes
// them away.

// pagesFirst are pages that others build on; those that are not here follow by name.
var pagesFirst = []string{"README.md", "docs/servers.md"}

// pagesRun are how many pages the walk has at least: one whose marks are lost is missed.
const pagesRun = 12

// examplePages are how many examples have a README that is run, at least.
const examplePages = 3

// exampleWalks writes a walk for each example with a README into a directory of the test's.
func exampleWalks(t *testing.T) (out []string) {
	t.Helper()
	found, err := filepath.Glob("../../examples/*/README.md")
	if err != nil || len(found) < examplePages {
		t.Fatalf("%d examples are run, want %d: %v", len(found), examplePages, err)
	}
	dir := t.TempDir()
	for _, page := range found {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var files strings.Builder
		steps := "env DRY_RUNS=none # pages are about what is printed\n" + pageSteps(t, page, string(text), &files)
		path := filepath.Join(dir, "example-"+filepath.Base(filepath.Dir(page))+".txtar")
		if err := os.WriteFile(path, []byte(steps+files.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	return out
}

// pageWalk writes the walk into a directory of the test's.
func pageWalk(t *testing.T) string {
	t.Helper()
	var walk, files strings.Builder
	walk.WriteString("env DRY_RUNS=none # pages are about what is printed\nlab 3\n")
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		if steps := pageSteps(t, page, string(text), &files); steps != "" {
			found++
			fmt.Fprintf(&walk, "\n# %s\n%s", page, steps)
			walk.WriteString("flock listnetworks -o json\nstdout '\"networks\": \\[\\]' # " + page + " leaves no network behind\n")
		}
	}
	if found < pagesRun {
		t.Fatalf("%d pages are run, want %d", found, pagesRun)
	}
	path := filepath.Join(t.TempDir(), "pages.txtar")
	if err := os.WriteFile(path, []byte(walk.String()+files.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pages are the README and what is in docs, in the order in which they are run.
func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/coming-from/*.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			out = append(out, strings.TrimPrefix(filepath.ToSlash(path), "../../"))
		}
	}
	rank := func(page string) int {
		if i := slices.Index(pagesFirst, page); i >= 0 {
			return i
		}
		return len(pagesFirst)
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return out
}

// marks of a page: what the walk does besides, and which block it runs.
var (
	pageMark   = regexp.MustCompile(`(?m)^<!-- (walk\n(?s:.*?)|run ?.*?) ?-->\n`)
	pageRemark = regexp.MustCompile(`\s+#\s.*$`)
)

// pageSteps are the lines of the walk that a page asks for; files gets what is printed.
func pageSteps(t *testing.T, page, text string, files *strings.Builder) string {
	t.Helper()
	var b strings.Builder
	for _, at := range pageMark.FindAllStringSubmatchIndex(text, -1) {
		mark := text[at[2]:at[3]]
		if hidden, is := strings.CutPrefix(mark, "walk\n"); is {
			b.WriteString(strings.TrimRight(hidden, "\n") + "\n")
			continue
		}
		prefix := strings.TrimSpace(strings.TrimPrefix(mark, "run"))
		commands := blockCommands(text[at[1]:])
		if len(commands) == 0 {
			t.Errorf("%s: no command follows <!-- %s -->", page, mark)
		}
		for _, c := range commands {
			line := c.line
			if strings.HasSuffix(prefix, "sh -c") {
				line = "'" + strings.ReplaceAll(line, "'", "''") + "'"
			}
			b.WriteString(strings.TrimSpace(prefix+" "+line) + "\n")
			if len(c.prints) > 0 {
				name := fmt.Sprintf("printed-%d", strings.Count(files.String(), "\n-- ")+1)
				fmt.Fprintf(files, "\n-- %s --\n%s\n", name, strings.Join(c.prints, "\n"))
				fmt.Fprintf(&b, "printed %s\n", name)
			}
		}
	}
	return b.String()
}

// pageCommand is a command in a page, and what it prints there.
type pageCommand struct {
	line   string
	prints []string
}

// blockCommands are the commands of the indented block that text begins with.
func blockCommands(text string) (out []pageCommand) {
	for line := range strings.Lines(strings.TrimLeft(text, "\n")) {
		line = strings.TrimRight(line, "\n")
		inside, indented := strings.CutPrefix(line, "    ")
		if !indented && line != "" {
			break
		}
		typed, shown := strings.CutPrefix(inside, "$ ")
		switch {
		case shown || strings.HasPrefix(inside, "flock "):
			out = append(out, pageCommand{line: pageRemark.ReplaceAllString(typed, "")})
		case inside != "" && len(out) > 0:
			last := &out[len(out)-1]
			last.prints = append(last.prints, inside)
		}
	}
	return out
}

// What of a printed line no two runs have in common: words, and a row of a matrix of times.
var (
	changing = regexp.MustCompile(`^\(?(?:SHA256:.*|\d{4}-\d\d-\d\d.*|\d[\d.hm]*m?s|\d+\.\d+%?|m?s|[kMG]?bit/s|[0-9a-f]{16}|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?:/ff:.*)?)[,:;)]*$`)
	timesRow = regexp.MustCompile(`^\S+( +(-|\d+(\.\d+)?))+$`)
	rowTime  = regexp.MustCompile(` \d+(\.\d+)?`)
	spread   = regexp.MustCompile(`#( #)*( to #( #)*)?`) // 1.2 ms, 1.2 ms to 3.4 ms
	// progress is what is said while servers are asked; at a terminal nothing of it stays.
	progress = regexp.MustCompile(`^\S+: (connecting|applying|no answer yet|trying \d+ paths?|asking for .*)$`)
)

// printedLines are the lines of a text without blanks that only align and what changes, sorted:
// servers say things in no order.
func printedLines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if row := strings.Join(words, " "); timesRow.MatchString(row) {
			words = strings.Fields(rowTime.ReplaceAllString(row, " ="))
		}
		for i, word := range words {
			if changing.MatchString(word) {
				words[i] = "#" + word[len(strings.TrimRight(word, ",:;)")):]
			}
		}
		if line = spread.ReplaceAllString(strings.Join(words, " "), "#"); line != "" && !progress.MatchString(line) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// printedDiffers says what of a page the command of before did not print, or what it printed
// besides; a line of three dots in the page stands for anything.
func printedDiffers(page, have string) string {
	want, got := printedLines(page), printedLines(have)
	dots := func(line string) bool { return line == "..." || line == "…" }
	for _, line := range want {
		i := slices.Index(got, line)
		if i < 0 && !dots(line) {
			return fmt.Sprintf("the page has %q, which is not printed:\n%s", line, have)
		}
		if i >= 0 {
			got = slices.Delete(got, i, i+1)
		}
	}
	if len(got) > 0 && !slices.ContainsFunc(want, dots) {
		return fmt.Sprintf("printed is %q, which the page lacks:\n%s", got[0], have)
	}
	return ""
}

// verbPrinted holds a page against what the command of before has printed.
func verbPrinted(_ context.Context, _ *walk, ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return usage("printed FILE")
	}
	if wrong := printedDiffers(ts.ReadFile(args[0]), ts.ReadFile("stderr")+ts.ReadFile("stdout")); wrong != "" {
		return unmet(wrong)
	}
	return nil
}

// TestPrintedDiffers: a page that shows what is not printed is found, and so is one that leaves
// something out, but not another time of the same.
func TestPrintedDiffers(t *testing.T) {
	const have = "s1: connecting\ns1: added\nNAME  TYPE   STATE\nvx1   vxlan  ready\n2 servers, in 1.5 s to 2.5 s, MTU 1450\n  s1 - 0.24 12 \n"
	for page, found := range map[string]bool{
		"s1: added\nNAME TYPE STATE\nvx1 vxlan ready\n2 servers, in 0.2 s, MTU 1450\ns1 - 1 0.2": false,
		"2 servers, in 0.2 s, MTU 1400\n...":                                                     true,
		"NAME TYPE STATE\n...":                                                                   false,
		"NAME TYPE STATE":                                                                        true,
		"vx1 vxlan pending\n...":                                                                 true,
	} {
		if wrong := printedDiffers(page, have); (wrong != "") != found {
			t.Errorf("%q: want found %v, have %q", page, found, wrong)
		}
	}
}

// TestPageCommands: what is a command of a block, and what it prints.
func TestPageCommands(t *testing.T) {
	var files strings.Builder
	const page = "Text.\n\n<!-- walk\non s1 true\n-->\n<!-- run status 4 -->\n\n    $ flock plan   # drift\n    + link\n    flock status\n\nflock no\n    flock no\n"
	want := "on s1 true\nstatus 4 flock plan\nprinted printed-1\nstatus 4 flock status\n"
	if have := pageSteps(t, "p", page, &files); have != want {
		t.Errorf("want %q, have %q", want, have)
	}
	if want, have := "on s1 sh -c 'a ''b'' | c'\n", pageSteps(t, "p", "<!-- run on s1 sh -c -->\n\n    $ a 'b' | c\n", &files); have != want {
		t.Errorf("want %q, have %q", want, have)
	}
	if want := "\n-- printed-1 --\n+ link\n"; files.String() != want {
		t.Errorf("want %q, have %q", want, files.String())
	}
}
