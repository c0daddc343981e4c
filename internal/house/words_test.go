package house

import (
	"go/ast"
	"maps"
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

// stillUsed are the banned words that packages have not got rid of yet. The list only
// shrinks: a package that is not here has none of them.
var stillUsed = map[string][]string{
	"internal/agent":   {"bequeath", "carrier", "keep", "left", "plain", "settle", "settled", "speak"},
	"internal/bgp":     {"aim", "order", "settle", "ways"},
	"internal/network": {"carried", "carrier", "carries", "keep", "plain", "seat", "settle", "twins", "ways"},
	"internal/spec":    {"keep", "speak"}, // on the wire between versions, too
}

var wordOf = regexp.MustCompile(`[A-Z]?[a-z0-9]+|[A-Z]+`)

// words of a name: its parts in camel case, and a file's name as one.
func words(name string) []string {
	out := []string{strings.ToLower(name)}
	for _, w := range wordOf.FindAllString(name, -1) {
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
				if instead := banned[word]; instead != "" && !slices.Contains(stillUsed[s.dir()], word) {
					t.Errorf("%s: %s has the word %q, which means several things here: say %s", s.name, name, word, instead)
				}
			}
		}
	}
	for dir, list := range stillUsed {
		for _, word := range list {
			if !slices.Contains(slices.Collect(maps.Keys(banned)), word) {
				t.Errorf("%s may use %q, which is not banned", dir, word)
			}
		}
	}
}
