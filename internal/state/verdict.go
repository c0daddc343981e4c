package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"
)

// Verdict is what traffic between the members of a network last showed.
type Verdict struct {
	State string    `json:"state"` // passes, lost, broken, stalls, lossy, narrow
	Says  string    `json:"says"`  // in one line
	Time  time.Time `json:"time"`  // UTC
	// Quick says that only whether members reach each other was tried: by status, or after a
	// change, between those that it brought together.
	Quick bool `json:"quick,omitempty"`
}

const passes = "passes"

// verdictsFile is what traffic showed, beside the cluster file: it is no part of the desired
// state, and a command that only looks writes it without the lock.
func verdictsFile(path string) string { return strings.TrimSuffix(path, ".toml") + ".verified" }

// Verdicts are the last ones by network. Without a file, or with one that nobody can read,
// there are none.
func (s *Store) Verdicts() map[string]Verdict {
	out := map[string]Verdict{}
	path, err := resolve(s.path)
	if err != nil {
		return out
	}
	data, err := readBounded(verdictsFile(path))
	if err != nil || json.Unmarshal(data, &out) != nil {
		return map[string]Verdict{}
	}
	return out
}

// NoteVerdicts keeps verdicts in the place of earlier ones, and forgets those of networks that c
// does not have; renamed are the former names of those that have others now. A quick one takes the place of a thorough one only where that found nothing
// wrong, and it does.
func (s *Store) NoteVerdicts(c *Cluster, renamed map[string]string, verdicts map[string]Verdict) error {
	path, err := resolve(s.path)
	if err != nil {
		return explainAccess("find", s.path, err)
	}
	had := s.Verdicts()
	next := maps.Clone(had)
	for now, former := range renamed {
		if v, known := had[former]; known {
			next[now] = v
		}
	}
	for name, v := range verdicts {
		if was, known := next[name]; !known || was.Quick || !v.Quick || was.State == passes && v.State != passes {
			next[name] = v
		}
	}
	maps.DeleteFunc(next, func(name string, _ Verdict) bool { return c.Networks[name] == nil })
	if maps.Equal(had, next) {
		return nil
	}
	path = verdictsFile(path)
	if len(next) == 0 {
		return removeIfThere(path)
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("note what traffic showed: %w", err)
	}
	err = writeFile(path, append(data, '\n'), path)
	if errors.Is(err, fs.ErrExist) {
		return nil // another flock writes it at this moment
	}
	if err != nil {
		return explainAccess("note what traffic showed in", filepath.Base(path), err)
	}
	return nil
}
