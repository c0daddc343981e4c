package house

import (
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

// TestLinksOfPagesLead: a page links to files that are there, and names source files that are.
func TestLinksOfPagesLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
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
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(m[1]))); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		for _, m := range file.FindAllSubmatch(page, -1) {
			if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "/"+string(m[1])) }) {
				t.Errorf("%s names %s, which is not there", path, m[1])
			}
		}
	}
}
