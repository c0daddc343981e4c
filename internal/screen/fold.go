package screen

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// hanging matches what precedes the text in a line with two columns.
var hanging = regexp.MustCompile(`^ +\S.*?\S {2,}`)

// FoldText breaks lines longer than width between words. The second of two columns stays
// a column; paragraphs are filled again; examples stay as they are typed.
func FoldText(text string, width int) string {
	var out strings.Builder
	for _, block := range strings.SplitAfter(text, "\n\n") {
		lines := strings.Split(strings.TrimRight(block, "\n"), "\n")
		end := block[len(strings.TrimRight(block, "\n")):]
		if long(lines, width) {
			lines = joined(lines)
		}
		for i, line := range lines {
			if i > 0 {
				out.WriteByte('\n')
			}
			out.WriteString(foldLine(line, width))
		}
		out.WriteString(end)
	}
	return out.String()
}

func long(lines []string, width int) bool {
	for _, line := range lines {
		if utf8.RuneCountInString(line) > width {
			return true
		}
	}
	return false
}

// joined joins lines that were broken only for their length: those of a paragraph, and
// of the right one of two columns.
func joined(lines []string) []string {
	var out []string
	column := 0 // where the text before goes on
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if i > 0 && indent == column && (column == 0 || column > 4) && line != "" {
			out[len(out)-1] += " " + line[indent:]
			continue
		}
		column = max(indent, len(hanging.FindString(line)))
		out = append(out, line)
	}
	return out
}

func foldLine(line string, width int) string {
	if utf8.RuneCountInString(line) <= width || strings.HasPrefix(line, "  flock ") { // to be typed
		return line
	}
	column := len(hanging.FindString(line))
	if column == 0 {
		column = len(line) - len(strings.TrimLeft(line, " "))
	}
	indent := strings.Repeat(" ", min(column, width/2))
	var out strings.Builder
	out.WriteString(line[:column])
	at := column
	for i, word := range strings.Fields(line[column:]) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			out.WriteString("\n" + indent)
			at = len(indent)
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(word)
		at += n
	}
	return out.String()
}
