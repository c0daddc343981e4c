package state

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// Store is one cluster's file, with its lock (FILE.lock) and its earlier generations
// (the directory FILE.history, without .toml).
type Store struct {
	Version string       // of this program, written into the file
	Waiting func(Holder) // called once when somebody else holds the lock; may be nil

	path, cluster string
}

// Open names a cluster's file; it reads and makes nothing. A file of another cluster is
// refused when it is read; an empty cluster accepts any.
func Open(path, cluster string) *Store { return &Store{path: path, cluster: cluster} }

// Path is where the file is, or will be.
func (s *Store) Path() string { return s.path }

// DefaultPath is where a cluster's file belongs by the XDG base directories:
// $XDG_STATE_HOME/flock/CLUSTER.toml, or ~/.local/state/flock/CLUSTER.toml if the
// variable is not set or not absolute, as the specification says.
func DefaultPath(cluster string, getenv func(string) string) (string, error) {
	if err := CheckName("cluster", cluster); err != nil {
		return "", err
	}
	dir := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", hint.Errorf("environment", "set HOME or XDG_STATE_HOME, or use --state FILE",
				"find the cluster file of %s: HOME is not set", cluster)
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "flock", cluster+".toml"), nil
}

// Load reads the cluster without the lock: a save replaces the file as a whole. A
// missing file is a cluster without servers.
func (s *Store) Load(ctx context.Context) (*Cluster, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, context.Cause(ctx))
	}
	c, _, err := s.read(s.path)
	return c, err
}

// read returns the cluster at path and the bytes of the file, nil if there is none.
func (s *Store) read(path string) (*Cluster, []byte, error) {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		if s.cluster != "" {
			if err := CheckName("cluster", s.cluster); err != nil {
				return nil, nil, err
			}
		}
		return &Cluster{Schema: Schema, Name: s.cluster}, nil, nil
	}
	if err != nil {
		return nil, nil, explainAccess("read", path, err)
	}
	c, err := s.Parse(data, path)
	if err != nil {
		return nil, nil, err
	}
	if c.Name == "" {
		c.Name = s.cluster
	}
	if s.cluster != "" && c.Name != s.cluster {
		return nil, nil, malformed{hint.Errorf(path, "--cluster "+c.Name+", or another --state FILE",
			"read %s: it is cluster %s, not %s", path, c.Name, s.cluster)}
	}
	return c, data, nil
}

// Update locks the file, has edit change a copy of the cluster, and saves it. If edit
// fails, or changes nothing, the file stays as it is. It returns the cluster as the file
// has it now.
func (s *Store) Update(ctx context.Context, edit func(*Cluster) error) (*Cluster, error) {
	l, err := s.Lock(ctx, "")
	if err != nil {
		return nil, err
	}
	c := l.Cluster()
	err = edit(c)
	if err == nil {
		err = l.Save(c)
	}
	if err := errors.Join(err, l.Unlock()); err != nil {
		return nil, err
	}
	return c, nil
}

// Lock locks the file: nobody else changes it until Unlock or the end of the program. It
// waits for the present holder until ctx ends; its error then names that holder. holder
// is the command that others are shown, and that the history keeps; empty: the words of
// this program's call.
func (s *Store) Lock(ctx context.Context, holder string) (*Locked, error) {
	if holder == "" {
		holder = commandLine()
	}
	holder = shorten(strings.ToValidUTF8(holder, "?"))
	path, err := resolve(s.path)
	if err != nil {
		return nil, explainAccess("find", s.path, err)
	}
	if err := makeDir(filepath.Dir(path), path); err != nil {
		return nil, explainAccess("make the directory of", path, err)
	}
	f, err := lockFile(ctx, path, holder, s.Waiting)
	if err != nil {
		return nil, err
	}
	l := &Locked{store: s, path: path, holder: holder, lock: f}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return l, nil
}

func commandLine() string {
	return strings.Join(append([]string{"flock"}, os.Args[1:]...), " ")
}

// holderMax is how many bytes of a command the lock and the history keep: a command may
// name ten thousand servers.
const holderMax = 200

func shorten(command string) string {
	if len(command) <= holderMax {
		return command
	}
	return strings.ToValidUTF8(command[:holderMax], "") + "…"
}

// Locked is a cluster file that only this program may change.
type Locked struct {
	store  *Store
	path   string // resolved
	holder string
	lock   *os.File

	base   *Cluster // as in the file, plus an ID
	data   []byte   // the file; nil: there is none
	raised bool     // the generation is one that this lock made
}

func (l *Locked) load() error {
	c, data, err := l.store.read(l.path)
	if err != nil {
		return err
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	l.base, l.data = c, data
	return nil
}

// Cluster returns a copy of the cluster as the file has it. Before the first save it has
// the ID that the save will write.
func (l *Locked) Cluster() *Cluster { return l.base.Clone() }

// Save writes c to the file, as a whole or not at all, and sets c's Schema, Name, ID,
// Generation, Change, Saved and Writer to what the file has then. If the desired state
// or an allocation differs from the file, the generation goes up by one and the previous
// file is kept in the history. What servers reported (Facts, Confirmed) is saved without
// a new generation, and so is everything that is saved later under the same lock: one
// command makes one generation. If nothing changed, nothing is written.
func (l *Locked) Save(c *Cluster) error {
	if l.lock == nil {
		return fmt.Errorf("save %s: it is not locked any more", l.path)
	}
	next, data, err := l.next(c)
	if err != nil {
		return fmt.Errorf("save %s: %w", l.path, err)
	}
	if data != nil {
		if next.Generation != l.base.Generation && l.data != nil {
			if err := l.archive(); err != nil {
				return err
			}
		}
		if err := writeFile(l.path, data, l.path); err != nil {
			return explainAccess("save", l.path, err)
		}
		l.raised = l.raised || next.Generation != l.base.Generation
		l.base, l.data = next.Clone(), data
	}
	*c = *next
	return nil
}

// next is the file after c is saved, and its bytes: nil if nothing differs from the
// file.
func (l *Locked) next(c *Cluster) (*Cluster, []byte, error) {
	next := *c
	b := l.base
	next.Schema, next.Name, next.ID = Schema, b.Name, b.ID
	next.Generation, next.Change, next.Saved, next.Writer = b.Generation, b.Change, b.Saved, b.Writer
	had, err := b.desired()
	if err != nil {
		return nil, nil, err
	}
	wants, err := next.desired()
	if err != nil {
		return nil, nil, err
	}
	same := bytes.Equal(had, wants)
	if same {
		if nothing, err := equal(b, &next); nothing || err != nil {
			return &next, nil, err
		}
	}
	if !same || next.Generation == 0 {
		if !l.raised { // what is saved later belongs to it, and to when it was made
			next.Generation++
			next.Change, next.Saved = l.holder, time.Now().UTC().Truncate(time.Second)
		}
	}
	next.Writer = l.store.Version
	data, err := next.Marshal()
	return &next, data, err
}

func equal(a, b *Cluster) (bool, error) {
	x, err := a.Marshal()
	if err != nil {
		return false, err
	}
	y, err := b.Marshal()
	return bytes.Equal(x, y), err
}

// Unlock releases the lock. Only the first call does anything.
func (l *Locked) Unlock() error {
	if l.lock == nil {
		return nil
	}
	f := l.lock
	l.lock = nil
	// The next holder signs the lock after it has it: until then nobody is named.
	if err := errors.Join(f.Truncate(0), f.Close()); err != nil {
		return fmt.Errorf("unlock %s: %w", l.path, err)
	}
	return nil
}
