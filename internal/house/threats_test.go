package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesAreTested: each test that the page about threats names is there.
func TestPromisesAreTested(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top(t), "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir(top(t), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || ignored(d.Name())):
			return fs.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			there["walk "+strings.TrimSuffix(d.Name(), ".txtar")] = true
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declared.FindAllSubmatch(text, -1) {
				there[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|walk )\\w[\\w-]*)`").FindAllSubmatch(page, -1)
	if len(named) < 30 {
		t.Errorf("the page names %d tests", len(named))
	}
	for _, m := range named {
		if name := string(m[1]); name != "walk NAME" && !there[name] {
			t.Errorf("docs/threat-model.md names %s, which is not there", name)
		}
	}
}
