package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/hint"
)

// keptGenerations is how many generations before the present one are kept.
const keptGenerations = 50

// Generation is one saved desired state.
type Generation struct {
	Number  uint64
	Saved   time.Time // UTC
	Change  string    // the command that made it; empty for a file written by hand
	Current bool
}

// History lists the generations that At can return, oldest first, the present one last.
// Before the first save there is none.
func (s *Store) History(ctx context.Context) ([]Generation, error) {
	path, err := resolve(s.path)
	if err != nil {
		return nil, explainAccess("find", s.path, err)
	}
	kept, err := keptNumbers(historyDir(path))
	if err != nil {
		return nil, err
	}
	var out []Generation
	for _, n := range kept {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list generations: %w", context.Cause(ctx))
		}
		g, err := readGeneration(historyFile(path, n))
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	now, err := readGeneration(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	now.Current = true
	// After a crash between the copy into the history and the new file, a generation is
	// in both places.
	out = slices.DeleteFunc(out, func(g Generation) bool { return g.Number >= now.Number })
	return append(out, now), nil
}

// At reads an earlier generation, or the present one.
func (s *Store) At(generation uint64) (*Cluster, error) {
	path, err := resolve(s.path)
	if err != nil {
		return nil, explainAccess("find", s.path, err)
	}
	c, _, err := s.read(path)
	if err == nil && c.Generation == generation {
		return c, nil
	}
	// The present file may be damaged: this is how to go back.
	old := historyFile(path, generation)
	if _, err := os.Stat(old); errors.Is(err, fs.ErrNotExist) {
		return nil, hint.AsUnknown(hint.Errorf(historyDir(path), "flock history", "generation %d is not kept", generation))
	}
	c, _, err = s.read(old)
	return c, err
}

// archive copies the file into the history and removes the oldest one there.
func (l *Locked) archive() error {
	dir := historyDir(l.path)
	if err := makeDir(dir, l.path); err != nil {
		return explainAccess("keep the history of", l.path, err)
	}
	if err := writeFile(historyFile(l.path, l.base.Generation), l.data, l.path); err != nil {
		return explainAccess("keep the history of", l.path, err)
	}
	kept, err := keptNumbers(dir)
	if err != nil {
		return err
	}
	for len(kept) > keptGenerations {
		if err := os.Remove(historyFile(l.path, kept[0])); err != nil {
			return explainAccess("shorten the history of", l.path, err)
		}
		kept = kept[1:]
	}
	return nil
}

func historyDir(path string) string { return strings.TrimSuffix(path, ".toml") + ".history" }

func historyFile(path string, generation uint64) string {
	return filepath.Join(historyDir(path), fmt.Sprintf("%06d.toml", generation))
}

// keptNumbers lists the generations in dir, lowest first.
func keptNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, explainAccess("list the history", dir, err)
	}
	var out []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".toml")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// readGeneration reads the generation from the first lines of a file.
func readGeneration(path string) (Generation, error) {
	data, err := readBounded(path)
	if err != nil {
		return Generation{}, explainAccess("read", path, err)
	}
	top := readTop(data)
	g := Generation{Change: top["change"]}
	if text := top["generation"]; text != "" {
		if g.Number, err = strconv.ParseUint(text, 10, 64); err != nil {
			return g, refuse(path, position(data, []string{"generation"}), []string{"generation"}, err)
		}
	}
	if text := top["saved"]; text != "" {
		if g.Saved, err = time.Parse(time.RFC3339, text); err != nil {
			return g, refuse(path, position(data, []string{"saved"}), []string{"saved"}, err)
		}
	}
	return g, nil
}
