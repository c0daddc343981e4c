package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// notice is the text of every licence that whoever passes the programs on passes on with them:
// of the modules that are linked into one of them, and of Go.
func notice(programs []string) (string, error) {
	versions := map[string]string{}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return "", fmt.Errorf("read what is linked: %w", err)
		}
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			versions[m.Path] = m.Version
		}
	}
	dirs, err := moduleDirs()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("flock is linked with these modules. Their licences follow.\n")
	for _, path := range slices.Sorted(maps.Keys(versions)) {
		if err := licences(&b, path+" "+versions[path], dirs[path]); err != nil {
			return "", err
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	if err := licences(&b, "The Go programming language", strings.TrimSpace(string(root))); err != nil {
		return "", err
	}
	return b.String(), nil
}

// moduleDirs are the directories with the sources of this module's dependencies.
func moduleDirs() (map[string]string, error) {
	out, err := exec.Command("go", "list", "-m", "-json", "all").Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct {
			Path, Dir string
			Replace   *struct{ Path, Dir string }
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return dirs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list -m: %w", err)
		}
		if m.Replace != nil {
			m.Path, m.Dir = m.Replace.Path, m.Replace.Dir
		}
		dirs[m.Path] = m.Dir
	}
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-.].*)?$`)

// licences writes the texts that are found in a module's directory. One without any cannot be
// passed on.
func licences(b *strings.Builder, what, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("licence of %s: %w", what, err)
	}
	found := false
	for _, f := range files {
		if f.IsDir() || !licenceFile.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name())) //nolint:gosec // a module's own
		if err != nil {
			return fmt.Errorf("licence of %s: %w", what, err)
		}
		fmt.Fprintf(b, "\n%s\n%s (%s)\n\n%s\n", strings.Repeat("=", 80), what, f.Name(), bytes.TrimSpace(text))
		found = true
	}
	if !found {
		return fmt.Errorf("licence of %s: there is none in %s", what, dir)
	}
	return nil
}
