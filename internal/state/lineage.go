package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/spec"
)

// Two copies of a cluster file may each have a generation of one number. They are told apart
// by when and by which command it was made.

// Made says when c's generation was made and by which command; "" of a file without a generation.
func (c *Cluster) Made() string {
	if c.Saved.IsZero() {
		return ""
	}
	return c.Saved.UTC().Format(time.RFC3339) + " " + c.Change
}

// Knows says whether a generation of that number was made so (Cluster.Made): the present one, one
// of the history, or one of another copy that was taken. It is true of a number that is not kept:
// nothing is known against it.
func (s *Store) Knows(generation uint64, made string) bool {
	path, err := resolve(s.path)
	if err != nil {
		return true
	}
	known := true
	for _, file := range []string{path, historyFile(path, generation)} {
		g, err := readGeneration(file)
		if err != nil || g.Number != generation {
			continue
		}
		c := Cluster{Saved: g.Saved, Change: g.Change}
		if known = c.Made() == made || g.Saved.IsZero(); known {
			return true
		}
	}
	taken, err := readBounded(takenFile(path))
	return known || err == nil && slices.Contains(strings.Split(string(taken), "\n"), takenLine(generation, made))
}

// takenFile has a line for each generation of another copy that took the place of ours and was
// not newer: their numbers say nothing.
func takenFile(path string) string { return filepath.Join(historyDir(path), "taken") }

func takenLine(generation uint64, made string) string { return fmt.Sprintf("%d %q", generation, made) }

// Lineage says which generations of servers are a file's own. It reads each once.
type Lineage struct {
	store *Store
	known map[string]bool
}

// Lineage is that of s.
func (s *Store) Lineage() *Lineage { return &Lineage{s, map[string]bool{}} }

// Refuses is the error about a server that confirmed a generation of another copy of the cluster
// file than c, which is s's: both have one of that number, and what the other one changed is not
// in ours. nil: it did not, or nothing is known of it.
func (l *Lineage) Refuses(c *Cluster, server string, generation uint64, made string) error {
	if made == "" || generation == c.Generation && made == c.Made() {
		return nil
	}
	key := fmt.Sprint(generation, made)
	known, asked := l.known[key]
	if !asked {
		known = l.store.Knows(generation, made)
		l.known[key] = known
	}
	if known {
		return nil
	}
	return hint.Errorf("server "+server, "flock pull "+server+", to go on from that one; or flock purge "+server+", to start over from this one",
		"%s holds generation %d of another copy of the cluster file%s", server, generation, spec.MadeBy(made))
}

// Take makes the file c, a copy that came back, with its id. Its generation stays where it is a
// newer one. Otherwise both copies had changes of their own: c becomes a generation after both,
// made now, and which one it was is noted (Knows). The present file goes into the history; one of
// another cluster that has anything in it refuses.
func (l *Locked) Take(c *Cluster) error {
	if l.lock == nil {
		return fmt.Errorf("save %s: it is not locked any more", l.path)
	}
	if c.Name != l.base.Name || len(l.base.Servers)+len(l.base.Networks) > 0 && l.base.ID != c.ID {
		return hint.Errorf(l.path, "--state FILE for a file of its own", "the file there is of another cluster")
	}
	next := c.Clone()
	next.Schema, next.Writer = Schema, l.store.Version
	if l.data != nil {
		if err := l.archive(); err != nil {
			return err
		}
		if next.Generation <= l.base.Generation {
			if err := l.noteTaken(c); err != nil {
				return err
			}
			next.Generation, next.Change, next.Saved = l.base.Generation+1, l.holder, time.Now().UTC().Truncate(time.Second)
		}
	}
	data, err := next.Marshal()
	if err != nil {
		return err
	}
	if err := writeFile(l.path, data, l.path); err != nil {
		return explainAccess("save", l.path, err)
	}
	l.base, l.data = next, data
	return nil
}

// noteTaken notes that c was taken, and is none of ours by its number.
func (l *Locked) noteTaken(c *Cluster) error {
	file := takenFile(l.path)
	lines, err := readBounded(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explainAccess("read", file, err)
	}
	if err := writeFile(file, append(lines, takenLine(c.Generation, c.Made())+"\n"...), l.path); err != nil {
		return explainAccess("note what was taken in", file, err)
	}
	return nil
}
