package screen

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Table is rows below headings, in aligned columns without lines.
type Table struct {
	Head  []string
	Rows  [][]string // see Add
	Whole bool       // nothing is cut, however narrow the terminal
}

// Add appends a row, whose cells are made visible.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = Visible(cell)
	}
	t.Rows = append(t.Rows, row)
}

// columnGap is what stands between two columns.
const columnGap = "  "

// Write prints the table. On a terminal of width columns, cells that are too long are
// folded at blanks, the longest first, and words that are still too long are cut; with
// width 0 nothing is folded: one row is one line. Empty cells read "-", so that columns
// can be counted.
func (t *Table) Write(w io.Writer, width int) error {
	widths := make([]int, len(t.Head))
	rows := append([][]string{t.Head}, t.Rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if width > 0 {
		t.fit(rows, widths, width)
	}
	var b bytes.Buffer
	none := tw.Rendition{
		Borders:  tw.BorderNone,
		Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
	}
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: columnGap, Overwrite: true}},
	}
	out := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(none)),
		tablewriter.WithConfig(tablewriter.Config{Header: cell, Row: cell}),
		tablewriter.WithTrimSpace(tw.Off))
	out.Header(fold(t.Head, widths))
	for _, row := range t.Rows {
		if err := out.Append(fold(row, widths)); err != nil {
			return fmt.Errorf("lay out a table: %w", err)
		}
	}
	if err := out.Render(); err != nil {
		return fmt.Errorf("lay out a table: %w", err)
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// leastCut is the fewest columns that a cut word keeps.
const leastCut = 8

// fit narrows the widest columns until the table fits: first down to their longest word,
// then further.
func (t *Table) fit(rows [][]string, widths []int, width int) {
	least := make([]int, len(widths))
	for _, row := range rows {
		for i, cell := range row {
			for word := range strings.SplitSeq(cell, " ") {
				least[i] = max(least[i], utf8.RuneCountInString(word))
			}
		}
	}
	over := len(columnGap)*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	over = narrow(widths, least, over)
	if over <= 0 || t.Whole {
		return
	}
	for i := range least {
		least[i] = min(least[i], leastCut)
	}
	narrow(widths, least, over)
}

// narrow removes over columns from the widest ones, none of which gets below least, and
// returns how many it could not remove.
func narrow(widths, least []int, over int) int {
	for ; over > 0; over-- {
		widest := -1
		for i, w := range widths {
			if w > least[i] && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return over
		}
		widths[widest]--
	}
	return 0
}

// fold breaks every cell at blanks so that it fits its column. A no-break space keeps
// two words together and is printed as a blank.
func fold(row []string, widths []int) []string {
	out := make([]string, len(row))
	for i, cell := range row {
		out[i] = strings.ReplaceAll(foldCell(cell, widths[i]), NoBreak, " ")
	}
	return out
}

// NoBreak is U+00A0.
const NoBreak = "\u00a0"

func foldCell(cell string, width int) string {
	if cell == "" {
		return "-"
	}
	if utf8.RuneCountInString(cell) <= width {
		return cell
	}
	var b strings.Builder
	column := 0
	for word := range strings.SplitSeq(cell, " ") {
		word = Cut(word, width)
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
