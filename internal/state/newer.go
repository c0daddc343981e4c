package state

import (
	"errors"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"golang.org/x/mod/semver"
)

// ErrNewer marks the error about a file that a newer flock wrote.
var ErrNewer = errors.New("written by a newer flock")

// newer marks an error with ErrNewer, and keeps its message and advice.
type newer struct{ error }

func (n newer) Unwrap() []error { return []error{n.error, ErrNewer} }

// Newer says whether writer, a version of flock, is later than this program's. It is
// false if one of them is no version (a build without one).
func (s *Store) Newer(writer string) bool {
	return semver.IsValid(writer) && semver.IsValid(s.Version) && semver.Compare(writer, s.Version) > 0
}

// Parse is the function Parse; its errors say if a newer flock wrote the file: what this
// program does not know is no mistake then.
func (s *Store) Parse(data []byte, name string) (*Cluster, error) {
	c, err := Parse(data, name)
	if err == nil {
		return c, nil
	}
	return nil, s.Outdated(readTop(data)["flock"], err)
}

// Outdated adds to err, which came from a file of writer, that writer is newer than this
// program, if it is, with the advice to use that version. ErrMalformed is preserved.
func (s *Store) Outdated(writer string, err error) error {
	if err == nil || !s.Newer(writer) || strings.Contains(err.Error(), "written by flock") {
		return err
	}
	where, _ := hint.Of(err)
	// Not wrapped: hint.Of would take the advice of err.
	var out error = newer{hint.Errorf(where, "use flock "+writer+" or later for this file", "%v; the file was written by flock %s, this is %s", err, writer, s.Version)}
	if errors.Is(err, ErrMalformed) {
		out = malformed{out}
	}
	return out
}
