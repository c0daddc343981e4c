package templates

import (
	"bytes"
	"embed"
	"fmt"
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
	out := make([]byte, 0, 2*len(text))
	for line := range bytes.Lines(text) {
		if out, err = fill(out, "", line, f); err != nil {
			return "", fmt.Errorf("template %s: %w", name, err)
		}
	}
	return string(out), nil
}

// fill appends a line, which goes on after begun with rest, with values in for its
// placeholders. What a value contains is no placeholder.
func fill(out []byte, begun string, rest []byte, f fields) ([]byte, error) {
	before, after, found := bytes.Cut(rest, []byte("{{"))
	if !found {
		return append(append(out, begun...), rest...), nil
	}
	name, after, closed := bytes.Cut(after, []byte("}}"))
	values, known := f[string(name)]
	if !closed || !known {
		return nil, fmt.Errorf("no value for %q", name)
	}
	var err error
	for _, v := range values {
		if out, err = fill(out, begun+string(before)+v, after, f); err != nil {
			return nil, err
		}
	}
	return out, nil
}
