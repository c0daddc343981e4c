package state

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Source is a text that a cluster is read from, and what that is called in errors.
type Source struct {
	Name string
	Data []byte
}

// Locate says in which line a fault of the cluster is, for an error whose place (hint.Of)
// is "server NAME" or "network NAME", a key of it behind a comma. Other errors stay as
// they are, and so do those about what the text does not have. It is for clusters that
// are as they were read: what an edit brought is not the text's fault.
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

// keyOf takes allocated.SERVER and allocated.SERVER.key apart: a server's name may have dots.
func keyOf(text string) []string {
	server, dealt := strings.CutPrefix(text, "allocated.")
	if !dealt {
		return []string{text}
	}
	return []string{"allocated", server}
}

// Locate is Source's, for the file as it is now.
func (s *Store) Locate(err error) error { return s.locate(s.path, err) }

// LocateAt is Source's, for a generation of the past.
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
		return err // what is wrong is said already
	}
	return Source{path, data}.Locate(err)
}
