package house

import (
	"go/ast"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// banned are words that meant several things as names of ours, and what to say instead.
var banned = map[string]string{
	"keep": "desired, preserveSource, store or hold", "speak": "handshake (WireGuard), peer or session (BGP)",
	"carried": "stacked (networks), embedded (programs)", "carries": "stacked, embedded", "carrier": "stacked, embedded, underlay",
	"plain": "what it is not: unencrypted, unencapsulated, regular", "twins": "duplicates", "settle": "converge, finish",
	"settled": "converged, confirmed", "left": "remains", "asone": "oneChange", "seat": "member, position", "aim": "target, nextHop",
	"ways": "nextHops, paths", "bequeath": "handOver", "order": "request (what is asked), sort (how it is sorted)",
}

// stillUsed are the names with banned words that are not renamed yet, by the directory
// that they are in or below. The list only shrinks: who renames one takes it out.
var stillUsed = map[string][]string{
	"internal/agent": {
		"Left", "bequeath", "fewLeft", "keep", "left", "plainRoutes", "settle",
		"settleRoutes", "settleSysctls", "settled", "stableOrder",
	},
}

// mayStill says whether a file of dir may use the name.
func mayStill(dir, name string) bool {
	for below, names := range stillUsed {
		if within(dir, below) && slices.Contains(names, name) {
			return true
		}
	}
	return false
}

var (
	wordOf  = regexp.MustCompile(`[A-Z]?[a-z0-9]+|[A-Z]+`)
	acronym = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
)

// words of a name: its parts in camel case (BGPRequest has two), and a file's name as one.
func words(name string) []string {
	out := []string{strings.ToLower(name)}
	for _, w := range wordOf.FindAllString(acronym.ReplaceAllString(name, "${1}_$2"), -1) {
		out = append(out, strings.ToLower(w))
	}
	return out
}

// named lists the names that a file gives: of itself, and on the level of its package.
func named(s source) []string {
	out := []string{strings.TrimSuffix(filepath.Base(s.name), ".go")}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			out = append(out, d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					out = append(out, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						out = append(out, name.Name)
					}
				}
			}
		}
	}
	return out
}

// TestOneWordOneMeaning: no name of a package has a word that means several things here.
func TestOneWordOneMeaning(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, name := range named(s) {
			for _, word := range words(name) {
				if instead := banned[word]; instead != "" && !mayStill(s.dir(), name) {
					t.Errorf("%s: %s has the word %q, which means several things here: say %s", s.name, name, word, instead)
				}
			}
		}
	}
	for dir, names := range stillUsed {
		for _, name := range names {
			if !slices.ContainsFunc(words(name), func(w string) bool { return banned[w] != "" }) {
				t.Errorf("%s may use %s, which nobody forbids", dir, name)
			}
		}
	}
}

// A new name with a banned word is found, beside those that are left and below them.
func TestNewNameIsFound(t *testing.T) {
	for name, want := range map[string]bool{"settleRoutes": true, "settleEverything": false} {
		for _, dir := range []string{"internal/agent", "internal/agent/unit"} {
			if have := mayStill(dir, name); have != want {
				t.Errorf("%s in %s: want %v, have %v", name, dir, want, have)
			}
		}
	}
	if !slices.Contains(words("BGPOrder"), "order") {
		t.Error("BGPOrder is no order")
	}
	if mayStill("internal/agentry", "settle") {
		t.Error("internal/agentry is not below internal/agent")
	}
}
