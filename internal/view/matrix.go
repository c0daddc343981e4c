package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/verify"
)

const (
	matrixMost  = 12 // members that have a row and a column each
	matrixParts = 9  // groups of members where there are more
	matrixWidth = 80 // columns of the screen
)

// group are neighbouring members in the order of their names, shown as one.
type group struct {
	label   string
	servers []string
}

// groups are the members one by one, or in groups of one size where they are many.
func groups(servers []string) []group {
	size := 1
	if len(servers) > matrixMost {
		size = (len(servers) + matrixParts - 1) / matrixParts
	}
	var out []group
	for part := range slices.Chunk(servers, size) {
		label := part[0]
		if len(part) > 1 {
			label += ".." + part[len(part)-1]
		}
		out = append(out, group{label, part})
	}
	return out
}

// cell is a text of the matrix, and its colour.
type cell struct{ text, colour string }

// matrix prints who reaches whom: from the server of the row to that of the column, or from a
// group to another. Where names are too wide for the screen, columns have the rows' numbers.
func (a *Page) matrix(d *Verified) error {
	list := groups(d.servers)
	rows := d.cells(list)
	if widthOf(rows) > matrixWidth {
		for i := range list {
			number := strconv.Itoa(i + 1)
			rows[0][i+1].text = number
			rows[i+1][0].text = number + " " + list[i].label
		}
		rows[0][0].text = "ms"
		rest := widthOf(rows) - utf8.RuneCountInString(pad(rows, 0))
		for i := range rows {
			rows[i][0].text = screen.Cut(rows[i][0].text, max(matrixWidth-rest, 6))
		}
	}
	for _, row := range rows {
		line := " "
		for x, c := range row {
			line += " " + a.paint(a.OutTTY, c.colour, c.text)
			if x < len(row)-1 {
				line += pad(rows, x)[utf8.RuneCountInString(c.text):]
			}
		}
		if _, err := fmt.Fprintln(a.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// cells are the rows of the matrix, with a head.
func (d *Verified) cells(list []group) [][]cell {
	part := map[string]int{}
	head := []cell{{text: "ms from \\ to"}}
	for i, g := range list {
		head = append(head, cell{text: g.label})
		for _, server := range g.servers {
			part[server] = i
		}
	}
	between := map[[2]int][]verify.Tried{}
	for _, t := range d.Legs {
		at := [2]int{part[t.From], part[t.To]}
		between[at] = append(between[at], t)
	}
	rows := [][]cell{head}
	for i, g := range list {
		row := []cell{{text: g.label}}
		for j := range list {
			row = append(row, cellOf(between[[2]int{i, j}], len(list) < len(d.servers)))
		}
		rows = append(rows, row)
	}
	return rows
}

// pad is as many spaces as a column is wide.
func pad(rows [][]cell, x int) string {
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[x].text))
	}
	return strings.Repeat(" ", width)
}

// widthOf is how many columns of the screen the rows take.
func widthOf(rows [][]cell) int {
	width := 1
	for x := range rows[0] {
		width += 1 + len(pad(rows, x))
	}
	return width
}

// cellOf is what the matrix shows of the legs from a member to another, of each family one;
// many: between groups, of which the slowest round trip is shown, or how many legs are bad.
func cellOf(legs []verify.Tried, many bool) cell {
	if len(legs) == 0 {
		return cell{text: "-"}
	}
	state := verify.Worst(legs)
	bad := 0
	worst, slowest := legs[0], legs[0].Median
	for _, t := range legs {
		if t.State() == state && worst.State() != state {
			worst = t
		}
		if t.State() != verify.Passes {
			bad++
		}
		slowest = max(slowest, t.Median)
	}
	switch {
	case state == verify.Passes && many:
		return cell{millis(slowest), green}
	case state == verify.Passes:
		return cell{millis(worst.Median), green}
	case many:
		return cell{fmt.Sprintf("!%d", bad), red}
	case state == verify.Lossy:
		return cell{fmt.Sprintf("%d/%d", worst.Heard, worst.Sent), red}
	case state == verify.Narrow:
		return cell{fmt.Sprintf("%dB", worst.Passes), red}
	}
	return cell{map[string]string{verify.Lost: "lost", verify.Stalls: "stall", verify.Broken: "sums"}[state], red}
}
