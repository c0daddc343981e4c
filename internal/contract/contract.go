// Package contract owns what programs may rely on in every JSON document of flock: the number of
// the format, and the error with its code. It does not know what else is in a document, asks
// nobody and ends nothing.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/flocknet/flock/internal/hint"
)

// Format is the number that every document begins with. It grows when what is in one loses its
// name, its place or its meaning, and for nothing else (docs/json.md).
const Format = 1

// Problem is an error in a document.
type Problem struct {
	Code  Code   `json:"code"`
	What  string `json:"what"` // for people: its words may change
	Where string `json:"where,omitempty"`
	Next  string `json:"next,omitempty"` // a command, or a sentence
}

// ProblemOf is err for a document; code is for one that does not say which it has.
func ProblemOf(err error, code Code) *Problem {
	where, next := hint.Of(err)
	return &Problem{Of(err, code), err.Error(), where, next}
}

// Write writes doc, which is an object as JSON, between the format and the problem, either of
// which may be nil. A problem alone is one line, since it may follow documents of a line each.
func Write(w io.Writer, doc any, p *Problem) error {
	var parts [][]byte
	for _, part := range []any{format{Format}, doc, failed{p}} {
		text, err := encode(part)
		if err != nil {
			return err
		}
		if inside := bytes.TrimSpace(text[1 : len(text)-1]); len(inside) > 0 {
			parts = append(parts, inside)
		}
	}
	text := fmt.Appendf(nil, "{%s}", bytes.Join(parts, []byte(",")))
	if doc != nil {
		var whole bytes.Buffer
		if err := json.Indent(&whole, text, "", "  "); err != nil {
			return fmt.Errorf("print JSON: %w", err)
		}
		text = whole.Bytes()
	}
	return print(w, text)
}

// WriteLine writes doc, which is an object as JSON, as one line behind the format.
func WriteLine(w io.Writer, doc any) error {
	var line bytes.Buffer
	if err := Write(&line, doc, nil); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Compact(&text, line.Bytes()); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return print(w, text.Bytes())
}

type format struct {
	Format int `json:"format"`
}

type failed struct {
	Error *Problem `json:"error,omitempty"`
}

// encode is an object as JSON; {} for nil.
func encode(doc any) ([]byte, error) {
	if doc == nil {
		return []byte("{}"), nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("print JSON: %w", err)
	}
	out := bytes.TrimSpace(text.Bytes())
	if out[0] != '{' {
		return nil, fmt.Errorf("print JSON: %T is no object, which can be given more fields later", doc)
	}
	return out, nil
}

func print(w io.Writer, text []byte) error {
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}
