package graph

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

//go:embed picture.css
var pictureStyle string

// SVG is the picture, as a file of its own: browsers show the details of what is pointed at.
func (m *Model) SVG() string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + m.drawing()
}

// drawing is the picture as an element of XML and of HTML alike.
func (m *Model) drawing() string {
	d := &drawing{picture: place(m)}
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" id="picture" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label=%s>`, d.w, d.h, d.w, d.h, quoted(m.Title()))
	d.put("<style>%s</style>", strings.TrimSpace(pictureStyle))
	d.put(`<rect class="paper" width="100%%" height="100%%"/>`)
	d.put(`<g id="all">`)
	d.text(margin, 36, "head", "cluster "+m.Cluster, d.w)
	d.text(margin, 56, "says", m.Counts()+fmt.Sprintf(", generation %d", m.Generation), d.w-margin)
	d.stacks(m)
	for i, l := range slices.Backward(m.Lines) {
		d.lane(i, l)
	}
	for _, l := range m.Lines {
		d.card(l)
	}
	for _, g := range m.Groups {
		d.group(g)
	}
	d.legend()
	d.put("</g>\n</svg>")
	return d.String()
}

// drawing is SVG that is being written.
type drawing struct {
	*picture
	strings.Builder
}

// put writes a line of markup; text in args was escaped.
func (d *drawing) put(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// text writes a line of text that is at most wide.
func (d *drawing) text(x, y int, class, text string, wide int) {
	size := map[string]int{"head": 20, "name": fontSize + 1, "mark": fontSize + 1}[class]
	if size == 0 {
		size = fontSize - 1
	}
	d.put(`<text class="%s" x="%d" y="%d">%s</text>`, class, x, y, escaped(cut(visible(text), size, wide)))
}

// lane draws a line from its card to its groups, with a dot where a branch begins.
func (d *drawing) lane(i int, l *Line) {
	a, card := d.lanes[l], d.cards[l]
	if len(a.branches) == 0 {
		return
	}
	from, to := a.span()
	path := fmt.Sprintf("M%d %dH%dM%d %dV%d", card.x+card.w, a.from, a.x, a.x, from, to)
	dots := ""
	for i, y := range a.branches {
		path += fmt.Sprintf("M%d %dH%d", a.x, y, a.ends[i])
		dots += fmt.Sprintf(`<circle cx="%d" cy="%d" r="3.5"/>`, a.x, y)
	}
	d.put(`<g class="lane %s hue%d" data-line="%s"><path d="%s"/>%s</g>`, l.Health, i%5, l.ID, path, dots)
}

// stacks draws, at the left of the cards, what is built on what.
func (d *drawing) stacks(m *Model) {
	for _, l := range m.Lines {
		for _, other := range m.Lines {
			if slices.Contains(l.Below, other.Name) {
				a, b := d.cards[l], d.cards[other]
				d.put(`<path class="stack" d="M%d %dC%d %d %d %d %d %d"/>`, a.x, a.y+a.h/2, a.x-30, a.y+a.h/2, b.x-30, b.y+b.h/2, b.x, b.y+b.h/2)
			}
		}
	}
}

// card draws what stands at the beginning of a line.
func (d *drawing) card(l *Line) {
	at := d.cards[l]
	d.put(`<g class="card %s %s" id="%s" data-line="%s" tabindex="0"><title>%s</title>`, l.Sort, l.Health, l.ID, l.ID, lines(l.Details))
	d.put(`<rect class="body" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, at.x, at.y, at.w, at.h, map[string]int{SortNetwork: 10, SortRouter: 0}[l.Sort])
	d.put(`<rect class="strip" x="%d" y="%d" width="5" height="%d"/>`, at.x+6, at.y+9, at.h-18)
	inner := at.w - 32
	kind := textWidth(l.Type, fontSize-1)
	y := at.y + 22
	d.text(at.x+20, y, "name", l.Name, inner-kind-8)
	d.put(`<text class="says end" x="%d" y="%d">%s</text>`, at.x+at.w-12, y, escaped(visible(l.Type)))
	for _, text := range l.Says {
		y += rowHeight
		d.text(at.x+20, y, "says", text, inner)
	}
	y += rowHeight
	d.text(at.x+20, y, "verdict", l.Health.Mark()+" "+l.Verdict, inner)
	d.put("</g>")
}

// group draws servers that are on the same lines.
func (d *drawing) group(g *Group) {
	at := d.groups[g]
	var on []string
	for _, l := range g.on {
		on = append(on, l.ID)
	}
	d.put(`<g class="group" id="%s" data-on="%s">`, g.ID, strings.Join(on, " "))
	d.put(`<rect class="body" x="%d" y="%d" width="%d" height="%d" rx="8"/>`, at.x, at.y, at.w, at.h)
	d.text(at.x+gap, at.y+20, "says", g.title(), at.w-2*gap)
	for _, s := range g.Servers {
		in := d.servers[s]
		d.put(`<g class="server %s" id="%s" data-on="%s" tabindex="0"><title>%s</title>`, s.Health, s.ID, strings.Join(on, " "), lines(s.Details))
		d.put(`<rect class="body" x="%d" y="%d" width="%d" height="%d" rx="5"/>`, in.x, in.y, in.w, in.h)
		y := in.y + 20
		d.text(in.x+10, y, "name", s.Name, in.w-34)
		d.put(`<text class="mark end" x="%d" y="%d">%s</text>`, in.x+in.w-9, y, s.Health.Mark())
		for _, text := range d.says[s] {
			y += rowHeight
			d.text(in.x+10, y, "says", text, in.w-16)
		}
		d.put("</g>")
	}
	d.put("</g>")
}

// legend says what marks mean.
func (d *drawing) legend() {
	x, y := margin, d.h-18
	for _, e := range []struct {
		Health
		words string
	}{{Well, "passes; confirmed"}, {Unknown, "not verified"}, {Warned, "pending, or lossy"}, {Bad, "does not pass"}} {
		d.put(`<g class="legend %s"><text class="mark" x="%d" y="%d">%s</text><text class="says" x="%d" y="%d">%s</text></g>`, e.Health, x, y, e.Mark(), x+16, y, e.words)
		x += 36 + textWidth(e.words, fontSize)
	}
}

// lines is text of several lines.
func lines(list []string) string {
	var out []string
	for _, l := range list {
		out = append(out, escaped(visible(l)))
	}
	return strings.Join(out, "\n")
}

// escaped is text that means itself in XML and HTML, in attributes too.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}

func quoted(text string) string { return `"` + escaped(visible(text)) + `"` }
