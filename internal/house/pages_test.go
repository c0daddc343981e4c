package house

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestArchitectureIsAPage: it is read before the first change, so it stays short.
func TestArchitectureIsAPage(t *testing.T) {
	page := readTop(t, "ARCHITECTURE.md")
	if n := strings.Count(page, "\n"); n > 150 {
		t.Errorf("ARCHITECTURE.md has %d lines, of 150 that it may have: move reasons to docs/decisions", n)
	}
	_, glossary, found := strings.Cut(page, "\n## Glossary\n")
	glossary, _, _ = strings.Cut(glossary, "\n## ")
	words := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z][a-z ]*) \| \S`).FindAllStringSubmatch(glossary, -1) {
		if word := m[1]; word != "word" {
			if words[word] {
				t.Errorf("the glossary has two meanings of %q", word)
			}
			words[word] = true
		}
	}
	if !found || len(words) < 20 || len(words) > 40 {
		t.Errorf("the glossary has %d words: want 20 to 40", len(words))
	}
}

// TestDecisionsAreListed: each decision has a number of its own, a title that the index
// shows, and fits half a page.
func TestDecisionsAreListed(t *testing.T) {
	const dir = "docs/decisions"
	index := readTop(t, filepath.Join(dir, "README.md"))
	entries, err := os.ReadDir(filepath.Join(top(t), dir))
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]string{}
	for _, e := range entries {
		name := e.Name()
		if name == "README.md" {
			continue
		}
		number, _, _ := strings.Cut(name, "-")
		if other := numbers[number]; other != "" {
			t.Errorf("%s and %s have one number", other, name)
		}
		numbers[number] = name
		page := readTop(t, filepath.Join(dir, name))
		heading, rest, _ := strings.Cut(page, "\n")
		short, title, found := strings.Cut(strings.TrimPrefix(heading, "# "), ". ")
		if !found || strings.Repeat("0", max(0, 3-len(short)))+short != number {
			t.Errorf("%s begins with %q, want its number and a title", name, heading)
		}
		if line := "| " + short + " | [" + title + "](" + name + ") |"; !strings.Contains(index, line) {
			t.Errorf("%s/README.md lacks %q", dir, line)
		}
		if n := strings.Count(rest, "\n"); n > 40 {
			t.Errorf("%s has %d lines: a decision takes half a page", name, n)
		}
	}
}

// TestReadmeIsAPage: it is what a newcomer reads; everything else is a page of docs.
func TestReadmeIsAPage(t *testing.T) {
	page := readTop(t, "README.md")
	if n := strings.Count(page, "\n"); n > 170 {
		t.Errorf("README.md has %d lines, of 170 that it may have: move topics to docs", n)
	}
	for line := range strings.Lines(page) {
		if n := len([]rune(line)); n > 240 {
			t.Errorf("README.md has a line of %d characters: %.40s…", n, line)
		}
	}
}

// TestDemoIsRecorded: the recording shows the commands that the demo runs, in their order, and its
// picture those that the recording shows.
func TestDemoIsRecorded(t *testing.T) {
	cast, picture := played(t, readTop(t, "docs/demo.cast")), readTop(t, "docs/pictures/demo.svg")
	commands := regexp.MustCompile(`\brun (flock [^|;\n]*[^|;\s])`).FindAllStringSubmatch(readTop(t, "examples/demo/run.sh"), -1)
	if len(commands) < 15 {
		t.Fatalf("the demo has only %d commands", len(commands))
	}
	rest := cast
	for _, c := range commands {
		line := regexp.MustCompile(`\$ ` + strings.ReplaceAll(regexp.QuoteMeta(strings.ReplaceAll(c[1], `"`, "")), `\$n`, `[0-9]`))
		at := line.FindStringIndex(rest)
		if at == nil {
			t.Fatalf("the recording does not show %s where the demo runs it: make demo-recording", c[1])
		}
		shown := rest[at[0]:at[1]]
		if !strings.Contains(picture, shown) {
			t.Errorf("the moving picture does not show %s: make demo-recording", shown)
		}
		rest = rest[at[1]:]
	}
}

// played is all that a recording of asciinema's (version 2) shows, one after the other.
func played(t *testing.T, cast string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(cast) {
		var event []any
		if err := json.Unmarshal([]byte(line), &event); err != nil || len(event) != 3 {
			continue // the head
		}
		if text, isText := event[2].(string); isText {
			b.WriteString(text)
		}
	}
	return b.String()
}

// TestPagesAreListed: each page of docs stands in the index, begins with a title, and then says
// in a sentence what it is for.
func TestPagesAreListed(t *testing.T) {
	for dir, most := range map[string]int{"docs": 60, "docs/coming-from": 10} {
		index := readTop(t, filepath.Join(dir, "README.md"))
		entries, err := os.ReadDir(filepath.Join(top(t), dir))
		if err != nil || len(entries) > most {
			t.Fatalf("%s has %d files: %v", dir, len(entries), err)
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) != ".md" || e.Name() == "README.md" {
				continue
			}
			if !strings.Contains(index, "]("+e.Name()+")") {
				t.Errorf("%s/README.md lacks %s", dir, e.Name())
			}
			lines := strings.SplitN(readTop(t, filepath.Join(dir, e.Name())), "\n", 4)
			if len(lines) < 4 || !strings.HasPrefix(lines[0], "# ") || lines[1] != "" || lines[2] == "" {
				t.Errorf("%s/%s does not begin with a title and a sentence", dir, e.Name())
			}
		}
	}
}

// TestLinksOfPagesLead: a page links to files that are there, and to headings that these have,
// and names source files that are.
func TestLinksOfPagesLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	file := regexp.MustCompile("`([a-z0-9_/]+\\.(?:go|sh|txtar))`")
	var pages, files []string
	err := filepath.WalkDir(top(t), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || ignored(d.Name())):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			pages = append(pages, path)
		}
		files = append(files, filepath.ToSlash(path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pages {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(page, -1) {
			to := filepath.Join(filepath.Dir(path), string(m[1]))
			if len(m[1]) == 0 {
				to = path
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if heading := string(m[2]); heading != "" && !slices.Contains(anchors(t, to), heading) {
				t.Errorf("%s: %s has no heading #%s", path, to, heading)
			}
		}
		for _, m := range file.FindAllSubmatch(page, -1) {
			if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "/"+string(m[1])) }) {
				t.Errorf("%s names %s, which is not there", path, m[1])
			}
		}
	}
}

// anchors are the names by which the headings of a page are linked to, as GitHub makes them.
func anchors(t *testing.T, path string) (out []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenced := false
	for line := range strings.Lines(string(page)) {
		fenced = fenced != strings.HasPrefix(line, "```")
		if heading, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); is && !fenced && strings.HasPrefix(line, "#") {
			out = append(out, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-"))
		}
	}
	return out
}

// TestAnchors: as GitHub makes them.
func TestAnchors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("# Layer 3, encrypted: `l2`\ntext\n```\n# no\n```\n## --bundle FILE\n#no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if want, have := []string{"layer-3-encrypted-l2", "--bundle-file"}, anchors(t, path); !slices.Equal(want, have) {
		t.Errorf("want %q, have %q", want, have)
	}
}
