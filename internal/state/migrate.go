package state

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/flocknet/flock/internal/hint"
	"github.com/pelletier/go-toml/v2"
)

// format is a schema, and the steps from older ones to it.
type format struct {
	schema int
	steps  map[int]step // by the schema they start from
}

// step rewrites a file of one schema, as a tree of tables, to the next. It need not
// change the key schema.
type step func(tree map[string]any) error

// current is the format that this program writes. Schema 1 is the first. A change after
// which old files cannot be read raises Schema and adds a step here.
func current() format {
	return format{schema: Schema, steps: map[int]step{}}
}

// migrate returns data in the schema of f. Data that needs no step is returned as it is,
// so that later errors point into the file.
func (f format) migrate(data []byte, name string) ([]byte, error) {
	top := readTop(data)
	schema, err := strconv.Atoi(top["schema"])
	if err != nil || schema == f.schema {
		return data, nil // no schema, or no number: strict decoding reports it with its line
	}
	key := []string{"schema"}
	if schema > f.schema {
		return nil, f.refuseNewer(name, position(data, key), schema, top["flock"])
	}
	if schema < 0 {
		return nil, refuse(name, position(data, key), key, fmt.Errorf("%d is not a schema", schema))
	}
	return f.climb(data, name, schema)
}

func (f format) refuseNewer(name string, at place, schema int, writer string) error {
	need := "flock " + writer + " or later"
	if writer == "" {
		writer, need = "a newer flock", "a newer flock"
	} else {
		writer = "flock " + writer
	}
	return newer{hint.Errorf(fmt.Sprintf("%s:%d:%d", name, at.line, at.column),
		"use "+need+", or a kept generation that this one can read",
		"read %s: it was written by %s in schema %d, this flock knows schemas up to %d", name, writer, schema, f.schema)}
}

// climb applies the steps from schema on.
func (f format) climb(data []byte, name string, schema int) ([]byte, error) {
	tree := map[string]any{}
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, refuse(name, syntaxPlace(err), nil, err)
	}
	for ; schema < f.schema; schema++ {
		step := f.steps[schema]
		if step == nil {
			if schema == 0 {
				continue // schema = 0 counts as none
			}
			return nil, hint.Errorf(name, "open it with the version that wrote it", "read %s: schema %d is too old for this flock", name, schema)
		}
		if err := step(tree); err != nil {
			return nil, refuse(name, place{}, nil, fmt.Errorf("migrate schema %d to %d: %w", schema, schema+1, err))
		}
	}
	tree["schema"] = f.schema
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(tree); err != nil {
		return nil, fmt.Errorf("write %s in schema %d: %w", name, f.schema, err)
	}
	return b.Bytes(), nil
}

// syntaxPlace is where go-toml stopped reading.
func syntaxPlace(err error) place {
	var syntax *toml.DecodeError
	if !errors.As(err, &syntax) {
		return place{}
	}
	line, column := syntax.Position()
	return place{line, column}
}
