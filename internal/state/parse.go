package state

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/pelletier/go-toml/v2"
)

// Parse reads a cluster from TOML, strictly: unknown keys, keys set twice, wrong
// types and malformed names are errors that say line, column and key. Name is
// what the file is called in them. A file without a schema is taken as one
// written by hand for this program; one of an older schema is migrated; one of a
// newer is refused. Whether the cluster makes sense is not looked at.
func Parse(data []byte, name string) (*Cluster, error) {
	return parse(data, name, current())
}

func parse(data []byte, name string, f format) (*Cluster, error) {
	data, err := f.migrate(data, name)
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(c); err != nil {
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

// refuse says that key, found at p of the file called name, is at fault.
func refuse(name string, p place, key []string, err error) error {
	at, next := name, "correct "+name
	if p.line > 0 {
		at = fmt.Sprintf("%s:%d:%d", name, p.line, p.column)
		next = fmt.Sprintf("${EDITOR:-vi} +%d %s", p.line, name)
	}
	if len(key) > 0 {
		err = fmt.Errorf("%s: %w", joinKey(key), err)
	}
	return hint.With(fmt.Errorf("read %s: %w", at, err), at, next)
}

// explain turns an error of go-toml into words about the file: the library's
// name Go types and struct fields, and keep the position apart.
func explain(name string, data []byte, err error) error {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		first := missing.Errors[0]
		what := errors.New("unknown key")
		if more := len(missing.Errors) - 1; more > 0 {
			what = fmt.Errorf("unknown key, and %d more", more)
		}
		line, column := first.Position()
		return refuse(name, place{line, column}, first.Key(), what)
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return refuse(name, place{line, column}, decode.Key(), errors.New(plain(decode.Error())))
	}
	return refuse(name, place{}, nil, err)
}

var goTarget = regexp.MustCompile(`cannot decode TOML (\S+) into (?:struct field \S+ of type )?(.*)`)

// plain says a message of go-toml without Go's types.
func plain(message string) string {
	message = strings.TrimPrefix(message, "toml: ")
	found := goTarget.FindStringSubmatch(message)
	if found == nil {
		return message
	}
	return found[1] + " where " + wanted(found[2]) + " belongs"
}

func wanted(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "an array"
	case strings.Contains(goType, "int"):
		return "an integer"
	case goType == "bool":
		return "true or false"
	case goType == "time.Time":
		return "a date with time"
	case goType == "string", strings.HasPrefix(goType, "netip."):
		return "a string"
	}
	return "a table"
}

// check looks at the names in c and says which key is at fault.
func check(c *Cluster) (key []string, err error) {
	if c.Name != "" {
		if err := CheckName("cluster", c.Name); err != nil {
			return []string{"cluster"}, err
		}
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
				return append(key, "members"), err
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

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
