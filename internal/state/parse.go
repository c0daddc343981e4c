package state

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/flocknet/flock/internal/hint"
)

// Parse reads a cluster from TOML, strictly: unknown keys, keys set twice, wrong types
// and malformed names are errors with line, column and key. name is the file's name in
// errors. A file without a schema counts as written by hand for this program; one of an
// older schema is migrated; one of a newer schema is refused. Whether the cluster makes
// sense is not checked.
func Parse(data []byte, name string) (*Cluster, error) {
	c, err := parse(data, name, current())
	if err != nil {
		return nil, malformed{err}
	}
	return c, nil
}

func parse(data []byte, name string, f format) (*Cluster, error) {
	data, err := f.migrate(data, name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	if err := decode(data, c); err != nil {
		return nil, explain(name, data, err)
	}
	if key, err := check(c); err != nil {
		return nil, refuse(name, position(data, key), key, err)
	}
	c.Schema = f.schema
	return c, nil
}

// place is a position in a file; the zero place is unknown.
type place struct{ line, column int }

// ErrMalformed marks a file that is no cluster file for this program: its syntax, keys,
// types or schema are wrong. Nothing was read from it.
var ErrMalformed = errors.New("malformed cluster file")

// malformed marks an error with ErrMalformed, and keeps its message and advice.
type malformed struct{ error }

func (m malformed) Unwrap() []error { return []error{m.error, ErrMalformed} }

// refuse is the error about key, found at p of the file called name.
func refuse(name string, p place, key []string, err error) error {
	at, next := name, "correct "+name
	if p.line > 0 {
		at = fmt.Sprintf("%s:%d:%d", name, p.line, p.column)
		next = fmt.Sprintf("${EDITOR:-vi} +%d %s", p.line, hint.Shell(name))
	}
	if len(key) > 0 {
		err = fmt.Errorf("%s: %w", joinKey(key), err)
	}
	return hint.With(fmt.Errorf("read %s: %w", at, err), at, next)
}

// explain adds the line of the file to an error of decode.
func explain(name string, data []byte, err error) error {
	var f *fault
	if !errors.As(err, &f) {
		return refuse(name, place{}, nil, err)
	}
	return refuse(name, placeOf(data, f.offset), f.key, f.err)
}

// check checks the names in c, and returns the key that is wrong.
func check(c *Cluster) (key []string, err error) {
	if c.Name != "" {
		if err := CheckName("cluster", c.Name); err != nil {
			return []string{"cluster"}, err
		}
	}
	if c.ID != "" && !idForm.MatchString(c.ID) {
		return []string{"id"}, hint.Errorf("", "leave the id away for a new one", "%q is not the id of a cluster file", c.ID)
	}
	for _, name := range c.ServerNames() {
		if err := CheckName("server", name); err != nil {
			return []string{"server", name}, err
		}
	}
	for _, name := range c.NetworkNames() {
		key := []string{"network", name}
		if err := CheckName("network", name); err != nil {
			return key, err
		}
		for _, member := range c.Networks[name].Members {
			if _, err := ParseMember(member); err != nil {
				_, next := hint.Of(err) // the place in the file is known better
				return append(key, "members"), hint.Errorf("", next, "%q: %v", member, err)
			}
		}
		for _, share := range c.Networks[name].Shares {
			if _, err := ParseShare(share); err != nil {
				_, next := hint.Of(err)
				return append(key, "shares"), hint.Errorf("", next, "%q: %v", share, err)
			}
		}
	}
	return nil, nil
}

// joinKey writes a key as TOML does.
func joinKey(key []string) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = k
		if !bareKey.MatchString(k) {
			parts[i] = fmt.Sprintf("%q", k)
		}
	}
	return strings.Join(parts, ".")
}

// idForm is the syntax of an id; servers store it.
var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
