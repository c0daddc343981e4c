package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is what stands in the top directory of the tree, beside what git ignores and
// files that begin with a dot.
var root = []string{
	"ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
	"cmd", "docs", "examples", "internal", "templates",
}

// TestRootIsClean: a file that a mistyped command left behind is not part of the tree.
func TestRootIsClean(t *testing.T) {
	entries, err := os.ReadDir(top(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !slices.Contains(root, name) && !strings.HasPrefix(name, ".") && !ignored(name) {
			t.Errorf("%s does not belong in the top directory", name)
		}
	}
}

// TestNoFileIsEmpty: nothing of ours is made by its name alone.
func TestNoFileIsEmpty(t *testing.T) {
	err := filepath.WalkDir(top(t), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || ignored(d.Name())):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() == 0 {
			t.Errorf("%s is empty (%v)", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// ignored are the names that .gitignore has.
func ignored(name string) bool {
	return slices.Contains([]string{"bin", "dist", "agents"}, name) || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".out")
}
