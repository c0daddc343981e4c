package graph

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/screen"
)

// Mermaid is the picture as a flowchart, as Markdown pages of GitHub and GitLab show it.
func (m *Model) Mermaid() string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w("---\ntitle: %q\n---\nflowchart LR", strings.Map(asciiOr('?'), visible(m.Title())))
	shape := map[string][2]string{SortNetwork: {"([", "])"}, SortTunnel: {"[/", "/]"}, SortTunnels: {"[/", "/]"}, SortRouter: {"{{", "}}"}}
	for _, l := range m.Lines {
		w("  %s%s%s%s:::%s", l.ID, shape[l.Sort][0], mermaidText(l.label()...), shape[l.Sort][1], l.Health)
	}
	for _, g := range m.Groups {
		w("  subgraph %s[%s]", g.ID, mermaidText(g.title()))
		for _, s := range g.Servers {
			w("    %s[%s]:::%s", s.ID, mermaidText(s.label()...), s.Health)
		}
		w("  end")
	}
	m.edges(func(l *Line, g *Group, s *Server) {
		if s == nil {
			w("  %s --- %s", l.ID, g.ID)
		} else {
			w("  %s --- %s", l.ID, s.ID)
		}
	}, func(l, below *Line) { w("  %s -.- %s", l.ID, below.ID) })
	for _, h := range []Health{Well, Unknown, Warned, Bad} {
		w("  classDef %s stroke:%s,stroke-width:2px", h, map[Health]string{Well: "#1a7f37", Unknown: "#6e7781", Warned: "#bc4c00", Bad: "#cf222e"}[h])
	}
	return b.String()
}

// asciiOr replaces what Mermaid's front matter may read as more than text.
func asciiOr(other rune) func(rune) rune {
	return func(r rune) rune {
		if r < ' ' || r > '~' || r == '\\' || r == '"' {
			return other
		}
		return r
	}
}

// mermaidText is a label: every character that Mermaid, Markdown or HTML could read as more
// than itself is written by its number, as Mermaid's documentation has it (#35; is a hash).
func mermaidText(lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		for _, r := range visible(l) {
			if strings.ContainsRune("#&<>\"'`*_~[](){}|\\;", r) {
				fmt.Fprintf(&b, "#%d;", r)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return `"` + b.String() + `"`
}

// visible is text without characters that control a terminal, or that XML does not have.
func visible(s string) string { return screen.Visible(s) }
