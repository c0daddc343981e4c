package state

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/plainfile"
	"github.com/flocknet/flock/internal/spec"
)

// Every server keeps the cluster file of the generation that it confirmed last
// (spec.CopyFile). A lost file comes back from there, and one admin's to another.

// Packed is the cluster file as a server keeps it: compressed by gzip, in base64.
func (c *Cluster) Packed() (string, error) {
	text, err := c.Marshal()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err = w.Write(text); err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("compress the cluster file: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// unpacked is the text of a copy.
func unpacked(copied string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(copied)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	text, err := plainfile.Limit(r, plainfile.MostCluster)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // the checksum is at the end
	}
	return text, err
}

// Held is what a server has of a cluster.
type Held struct {
	Server string // by whom it was said
	spec.Copied
	File *Cluster // its copy of the cluster file; nil: it has none
}

// Holds is what server has of a cluster, of all that it has; nil: nothing. The copy is checked
// as a file of that name is: a server may send anything.
func (s *Store) Holds(server string, list []spec.Copied, cluster string) (*Held, error) {
	at := slices.IndexFunc(list, func(c spec.Copied) bool { return c.Cluster == cluster })
	if at < 0 {
		return nil, nil
	}
	h := &Held{Server: server, Copied: list[at]}
	if h.Copied.File == "" {
		return h, nil
	}
	where := "the copy of the cluster file on " + server
	text, err := unpacked(h.Copied.File)
	if err != nil {
		return nil, hint.Errorf(where, "another server of the cluster", "%s is damaged: %w", where, err)
	}
	if h.File, err = s.Parse(text, where); err != nil {
		return nil, err
	}
	if h.File.Generation > spec.MostGeneration {
		return nil, hint.Errorf(where, "another server of the cluster", "%s has generation %d, which cannot be", where, h.File.Generation)
	}
	if h.File.Name != cluster || h.Store != "" && h.File.ID != h.Store {
		return nil, hint.Errorf(where, "another server of the cluster", "%s is of another cluster than the server's networks", where)
	}
	return h, nil
}

// Newest is the one with the newest copy; nil where nobody has one. Of the same generation the
// first one is it.
func Newest(list []*Held) *Held {
	var out *Held
	for _, h := range list {
		if h.File != nil && (out == nil || h.File.Generation > out.File.Generation) {
			out = h
		}
	}
	return out
}

// Restored is the file of a copy with what servers have confirmed since it was made. Ahead is
// the newest generation that one of them confirmed, where that is newer than the copy: the
// file is a generation after it, so that it may be applied, and what was changed in between is
// not in it; 0: there is none.
func (h *Held) Restored(list []*Held, now time.Time) (c *Cluster, ahead uint64) {
	c = h.File.Clone()
	for _, other := range list {
		s := c.Servers[other.Server]
		if s == nil { // it was asked by its address
			s = c.Servers[other.Copied.Server]
		}
		if s == nil || other.Store != c.ID {
			continue
		}
		ahead = max(ahead, other.Generation)
		if s.Confirmed = nil; other.Sum != "" {
			s.Confirmed = &Confirmed{Generation: other.Generation, Sum: other.Sum, Time: now}
		}
	}
	if ahead <= c.Generation {
		return c, 0
	}
	c.Generation = ahead + 1
	return c, ahead
}
