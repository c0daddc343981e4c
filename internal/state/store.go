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

// Store is one cluster's file, with its lock (FILE.lock) and the generations
// before (the directory FILE less .toml plus .history).
type Store struct {
	Version string       // of this program, written into the file
	Waiting func(Holder) // called once when somebody else holds the lock; may be nil

	path, cluster string
}

// Open names a cluster's file; nothing is read or made yet. A file that says it
// is another cluster's is refused later on; an empty cluster takes any.
func Open(path, cluster string) *Store { return &Store{path: path, cluster: cluster} }

// Path is where the file is, or will be.
func (s *Store) Path() string { return s.path }

// DefaultPath is where a cluster's file belongs by the XDG base directories:
// $XDG_STATE_HOME/flock/CLUSTER.toml, ~/.local/state/flock/CLUSTER.toml without
// the variable, and also when it is not absolute, as the specification says.
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

// Load reads the cluster without a lock: a save replaces the file whole. A file
// that is not there is a cluster without servers.
func (s *Store) Load(ctx context.Context) (*Cluster, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, context.Cause(ctx))
	}
	c, _, err := s.read(s.path)
	return c, err
}

// read returns the cluster at path and the bytes it was read from, nil when
// there is no file.
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

// Update locks the file, lets edit change a copy of the cluster and saves it. An
// edit that fails, or changes nothing, leaves the file untouched. What is
// returned is the cluster as it is now in the file.
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

// Lock takes the file for a change that lasts: nobody else changes it until
// Unlock or the end of the program. It waits for whoever has it until ctx ends,
// and then says who that is. Holder is the command that others are told about,
// and that the history keeps; empty: the words this program was called with.
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

// holderMax is how much of a command the lock and the history keep, in bytes: one
// may name ten thousand servers.
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

// Cluster returns a copy of the cluster as it is in the file. Before the first
// save it has the ID already that the save will write.
func (l *Locked) Cluster() *Cluster { return l.base.Clone() }

// Save writes c to the file, whole or not at all, and sets c's Schema, Name, ID,
// Generation, Change, Saved and Writer to what the file says then. The generation
// goes up by one if the desired state or what was allocated differs from the file, and the
// file that was is kept in the history; what was seen on servers (Facts,
// Confirmed) is saved under the same generation, and so is what the same lock saves
// afterwards: one command makes one generation, in however many steps. Nothing
// changed: nothing is written.
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

// next is what the file becomes when c is saved, and its bytes: nil when nothing
// differs from the file.
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
		if !l.raised {
			next.Generation++
		}
		next.Change, next.Saved = l.holder, time.Now().UTC().Truncate(time.Second)
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

// Unlock lets others change the file. Only the first call does anything.
func (l *Locked) Unlock() error {
	if l.lock == nil {
		return nil
	}
	f := l.lock
	l.lock = nil
	// Signed by nobody: a later holder that is asked for before it signs has no name.
	if err := errors.Join(f.Truncate(0), f.Close()); err != nil {
		return fmt.Errorf("unlock %s: %w", l.path, err)
	}
	return nil
}
