package state

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Source is a text with a cluster, and its name in errors.
type Source struct {
	Name string
	Data []byte
}

// Locate adds the line to an error about the cluster: to one whose place (hint.Of) is
// "server NAME" or "network NAME", perhaps followed by a comma and a key. Other errors
// stay as they are, and so do errors about what the text does not contain. The cluster
// must be as it was read: an edit is not the text's fault.
func (s Source) Locate(err error) error {
	where, _ := hint.Of(err)
	kind, rest, _ := strings.Cut(where, " ")
	if kind != "server" && kind != "network" {
		return err
	}
	name, more, _ := strings.Cut(rest, ", ")
	table := []string{kind, name}
	key := table
	if words := strings.Fields(more); len(words) > 0 {
		key = append(table[:2:2], keyOf(words[0])...)
	}
	if _, depth := find(s.Data, table); depth < len(table) {
		return err
	}
	p, _ := find(s.Data, key)
	return hint.Pin(err, fmt.Sprintf("%s (%s:%d:%d)", where, s.Name, p.line, p.column))
}

// keyOf splits allocated.SERVER and allocated.SERVER.key: a server's name may contain
// dots.
func keyOf(text string) []string {
	server, dealt := strings.CutPrefix(text, "allocated.")
	if !dealt {
		return []string{text}
	}
	return []string{"allocated", server}
}

// Locate is Source.Locate for the present file.
func (s *Store) Locate(err error) error { return s.locate(s.path, err) }

// LocateAt is Source.Locate for an earlier generation.
func (s *Store) LocateAt(generation uint64, err error) error {
	path, fault := resolve(s.path)
	if fault != nil {
		return err
	}
	return s.locate(historyFile(path, generation), err)
}

func (s *Store) locate(path string, err error) error {
	if err == nil {
		return nil
	}
	data, fault := readBounded(path)
	if fault != nil {
		return err // err says already what is wrong
	}
	return Source{path, data}.Locate(err)
}
