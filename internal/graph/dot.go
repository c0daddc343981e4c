package graph

import (
	"fmt"
	"strings"
)

// dotColour is how Graphviz draws a health; X11's names.
var dotColour = map[Health]string{Well: "darkgreen", Unknown: "gray40", Warned: "darkorange3", Bad: "red3"}

// Dot is the picture for Graphviz. Lines of text end at the left; what is in names is quoted.
func (m *Model) Dot() string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w("graph %s {", dotText(m.Title()))
	w("  graph [compound=true, rankdir=LR, ranksep=1.2, fontname=\"Helvetica\", label=%s, labelloc=t];", dotText(m.Title()))
	w("  node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=11];")
	w("  edge [fontname=\"Helvetica\", fontsize=9];")
	for _, l := range m.Lines {
		shape := map[string]string{SortNetwork: "ellipse", SortTunnel: "cds", SortTunnels: "cds", SortRouter: "box3d"}[l.Sort]
		w("  %s [shape=%s, style=\"\", color=%s, label=%s, tooltip=%s];", l.ID, shape, dotColour[l.Health], dotText(l.label()...), dotText(l.Details...))
	}
	for _, g := range m.Groups {
		w("  subgraph cluster_%s {", g.ID)
		w("    label=%s; style=rounded; color=gray70;", dotText(g.title()))
		for _, s := range g.Servers {
			w("    %s [color=%s, label=%s, tooltip=%s];", s.ID, dotColour[s.Health], dotText(s.label()...), dotText(s.Details...))
		}
		w("  }")
	}
	m.edges(func(l *Line, g *Group, s *Server) {
		ends := ""
		if s == nil {
			s, ends = g.Servers[(len(g.Servers)-1)/2], ", lhead=cluster_"+g.ID
		}
		w("  %s -- %s [color=%s%s];", l.ID, s.ID, dotColour[l.Health], ends)
	}, func(l, below *Line) {
		w("  %s -- %s [style=dashed, color=gray40, constraint=false];", l.ID, below.ID)
	})
	w("}")
	return b.String()
}

// label is what stands on a line.
func (l *Line) label() []string {
	return append(append([]string{l.Name + " (" + l.Type + ")"}, l.Says...), l.Health.Mark()+" "+l.Verdict)
}

// label is what stands on a server.
func (s *Server) label() []string {
	name := s.Name
	if s.Health != Well {
		name = s.Health.Mark() + " " + name
	}
	return append([]string{name}, s.Says...)
}

// title is what stands above a group.
func (g *Group) title() string {
	if len(g.on) == 0 {
		return count(len(g.Servers), "server") + " in no network"
	}
	return count(len(g.Servers), "server") + ": " + strings.Join(g.Lines, ", ")
}

// mostSingle servers of a group may have edges of their own; a larger group has one for each of
// its lines.
const mostSingle = 4

// edges calls on for every end of a line at a group, with a server of a small one, and stacked
// for lines that are built on others.
func (m *Model) edges(on func(*Line, *Group, *Server), stacked func(l, below *Line)) {
	named := map[string]*Line{}
	for _, l := range m.Lines {
		named[l.Name] = l
	}
	for _, g := range m.Groups {
		for _, l := range g.on {
			if len(g.Servers) > mostSingle {
				on(l, g, nil)
				continue
			}
			for _, s := range g.Servers {
				on(l, g, s)
			}
		}
	}
	for _, l := range m.Lines {
		for _, below := range l.Below {
			if named[below] != nil {
				stacked(l, named[below])
			}
		}
	}
}

// dotText is a string of the DOT language: quotes and backslashes mean themselves, lines end at
// the left (\l), and what is invisible is shown as Go writes it.
func dotText(lines ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(escape.Replace(visible(l)))
		if len(lines) > 1 {
			b.WriteString(`\l`)
		}
	}
	return `"` + b.String() + `"`
}
