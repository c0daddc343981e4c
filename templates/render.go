package templates

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.tmpl
var files embed.FS

// fields are the values of a file's placeholders. A line is written once for each value of
// its placeholder, and left out where there is none.
//
// text/template can do more, but a program that uses it keeps every method of every type,
// which it might call by name: 1.2 MB of the agent.
type fields map[string][]string

// when is a placeholder for lines that are there if yes.
func when(yes bool) []string {
	if yes {
		return []string{""}
	}
	return nil
}

// unless is value, or nothing if it is none.
func unless(value, none string) []string {
	if value == none {
		return nil
	}
	return []string{value}
}

// render is the file made of a template.
func render(name string, f fields) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read template %s: %w", name, err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		lines, err := fill(line, f)
		if err != nil {
			return "", fmt.Errorf("template %s: %w", name, err)
		}
		for _, l := range lines {
			b.WriteString(l)
		}
	}
	return b.String(), nil
}

// fill puts values in for the placeholders of a line. What a value contains is no placeholder.
func fill(line string, f fields) ([]string, error) {
	before, rest, found := strings.Cut(line, "{{")
	if !found {
		return []string{line}, nil
	}
	name, rest, closed := strings.Cut(rest, "}}")
	values, known := f[name]
	if !closed || !known {
		return nil, fmt.Errorf("no value for %q", name)
	}
	ends, err := fill(rest, f)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, v := range values {
		for _, end := range ends {
			out = append(out, before+v+end)
		}
	}
	return out, nil
}
