//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/option"
)

// Every option that setnetwork has is set by a walk: whoever adds one adds it there.
func TestEveryOptionIsWalked(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, regexp.MustCompile(`(?m)^flock setnetwork .*$`).FindAllString(string(text), -1)...)
	}
	if len(lines) < 20 {
		t.Fatalf("only %d lines of setnetwork are found", len(lines))
	}
	for _, o := range option.All() {
		if !o.Settable() {
			continue
		}
		sets := func(line string) bool {
			words := strings.Fields(line)
			return slices.ContainsFunc(words, func(w string) bool {
				return w == o.Flag() || w == "--"+o.Key || strings.HasPrefix(w, "--"+o.Key+"=")
			})
		}
		if !slices.ContainsFunc(lines, sets) {
			t.Errorf("%s is set by no walk", o.Key)
		}
	}
}
