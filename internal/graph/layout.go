package graph

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// Where things stand: lines below each other at the left, groups of servers at the right, and
// between them a channel with a lane for each line, whose branches lead to its groups. Nothing
// overlaps, whatever there is of each; and something that comes or goes moves what is below it.
// All lengths are in pixels of an unscaled picture.

const (
	margin    = 24
	headRoom  = 56 // the title
	footRoom  = 40 // what marks mean
	cardWidth = 250
	rowHeight = 16 // a line of text
	gap       = 14
	laneWide  = 12
	portHigh  = 10
	fontSize  = 12
	mostWide  = 230 // a server

	// A cluster of more servers than this shows name and address of each, and the rest on hover.
	mostTalkative = 60
	// mostSays are the lines of text on a server.
	mostSays = 7
)

// box is a rectangle of the picture.
type box struct{ x, y, w, h int }

// lane is where a line runs.
type lane struct {
	x        int
	from     int   // height of its card's end
	branches []int // heights at which it leads to groups, and as many of ends
	ends     []int
}

// picture is the layout of a model.
type picture struct {
	w, h    int
	cards   map[*Line]box
	lanes   map[*Line]*lane
	groups  map[*Group]box
	servers map[*Server]box
	says    map[*Server][]string // what a server has room for

	serverWide int
}

// place lays a model out.
func place(m *Model) *picture {
	p := &picture{cards: map[*Line]box{}, lanes: map[*Line]*lane{}, groups: map[*Group]box{}, servers: map[*Server]box{}, says: map[*Server][]string{}}
	arcs := 0
	for _, l := range m.Lines {
		arcs = max(arcs, min(len(l.Below), 1)*30)
	}
	y := headRoom + margin
	for _, l := range m.Lines {
		h := rowHeight*(len(l.Says)+2) + 18
		p.cards[l] = box{margin + arcs, y, cardWidth, h}
		y += h + gap
	}
	bottom := y
	x := margin + arcs + cardWidth + gap
	for i, l := range m.Lines { // the lane of what is above is at the right
		p.lanes[l] = &lane{x: x + laneWide*(len(m.Lines)-i), from: p.cards[l].y + p.cards[l].h/2}
	}
	if len(m.Lines) > 0 {
		x += laneWide*(len(m.Lines)+1) + 2*gap
	} else {
		x = margin
	}
	p.measureServers(m)
	most := 1
	for _, g := range m.Groups {
		most = max(most, len(g.Servers))
	}
	// Servers stand in as few columns as make the picture no page that is all height.
	for columns := min(2, most); columns <= most; columns++ {
		if wide, high := p.standServers(m, x, columns); high <= wide*5/4 {
			break
		}
	}
	p.branch(m)
	for _, g := range m.Groups {
		bottom = max(bottom, p.groups[g].y+p.groups[g].h+gap)
		p.w = max(p.w, p.groups[g].x+p.groups[g].w+margin)
	}
	p.w, p.h = max(p.w, x+margin, 760), bottom+footRoom
	return p
}

// measureServers finds what is written on servers, and how wide all of them are.
func (p *picture) measureServers(m *Model) {
	all := m.Servers()
	p.serverWide = 96
	for _, s := range all {
		p.says[s] = s.Says
		if len(all) > mostTalkative {
			p.says[s] = s.Says[:min(len(s.Says), 1)]
		} else if len(s.Says) > mostSays {
			p.says[s] = append(slices.Clone(s.Says[:mostSays-1]), "and "+count(len(s.Says)-mostSays+1, "other"))
		}
		for _, text := range p.says[s] {
			p.serverWide = max(p.serverWide, textWidth(text, fontSize-1)+20)
		}
		p.serverWide = max(p.serverWide, textWidth(s.Name, fontSize+1)+34)
	}
	p.serverWide = min(p.serverWide, mostWide)
}

// standServers places the groups from x on, and in each its servers in so many columns at most.
// It returns where the picture ends.
func (p *picture) standServers(m *Model, x, columns int) (wide, high int) {
	step := p.serverWide + gap
	y := headRoom + margin
	for _, g := range m.Groups {
		top, across := y, min(columns, len(g.Servers))
		y += rowHeight + 14
		for row := range slices.Chunk(g.Servers, across) {
			h := 0
			for _, s := range row {
				h = max(h, rowHeight*(len(p.says[s])+1)+14)
			}
			for i, s := range row {
				p.servers[s] = box{x + gap + i*step, y, p.serverWide, h}
			}
			y += h + gap
		}
		y = max(y, top+portHigh*(len(g.on)+2))
		titled := textWidth(g.title(), fontSize) + 2*gap
		p.groups[g] = box{x, top, max(across*step+gap, min(titled, max(columns, 2)*step+gap)), y - top}
		wide = max(wide, x+p.groups[g].w)
		y += gap
	}
	return wide, y
}

// branch leads the lanes to their groups. No two branches have one height, nor has one that of
// another line's card: what is on one height would look like one line.
func (p *picture) branch(m *Model) {
	taken := []int{}
	for _, l := range m.Lines {
		taken = append(taken, p.lanes[l].from)
	}
	for _, g := range m.Groups {
		y := p.groups[g].y + portHigh
		for _, l := range g.on {
			for slices.ContainsFunc(taken, func(t int) bool { return max(t-y, y-t) < 5 && t != p.lanes[l].from }) {
				y++
			}
			a := p.lanes[l]
			a.branches, a.ends, taken = append(a.branches, y), append(a.ends, p.groups[g].x), append(taken, y)
			y += portHigh
		}
	}
}

// span is from where to where a lane runs.
func (a *lane) span() (from, to int) {
	return min(a.from, slices.Min(a.branches)), max(a.from, slices.Max(a.branches))
}

// textWidth is how wide text is at most, in a sans-serif font of a size.
func textWidth(text string, size int) int {
	cells := 0
	for _, r := range text {
		cells += cmp.Or(map[bool]int{true: 2}[r >= 0x1100], 1)
	}
	return cells * size * 6 / 10
}

// cut is text that is at most wide.
func cut(text string, size, wide int) string {
	if textWidth(text, size) <= wide {
		return text
	}
	for text != "" && textWidth(text+"…", size) > wide {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text + "…"
}
