package house

import (
	"go/ast"
	"path/filepath"
	"regexp"
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

// bannedIn is the first banned word of a name, "" if it has none.
func bannedIn(name string) string {
	for _, word := range words(name) {
		if banned[word] != "" {
			return word
		}
	}
	return ""
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
			if word := bannedIn(name); word != "" {
				t.Errorf("%s: %s has the word %q, which means several things here: say %s", s.name, name, word, banned[word])
			}
		}
	}
}

// A name with a banned word is found, whatever case it is written in.
func TestBannedNameIsFound(t *testing.T) {
	for name, want := range map[string]string{
		"settleEverything": "settle", "BGPOrder": "order", "nextHops": "", "order": "order", "border": "", "isSettled": "settled",
	} {
		if have := bannedIn(name); have != want {
			t.Errorf("%s: want %q, have %q", name, want, have)
		}
	}
}
