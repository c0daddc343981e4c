//go:build linux

package bfd

import (
	"slices"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// Peers are the neighbours of s that are watched.
func Peers(s *spec.BGP) []Peer {
	var out []Peer
	for _, n := range s.Neighbors {
		if n.BFD > 0 {
			out = append(out, Peer{Addr: n.Addr, Local: n.Local, Every: time.Duration(n.BFD) * time.Millisecond})
		}
	}
	return out
}

// Describe says of those neighbours in list that s has watched how that is.
func (w *Watcher) Describe(list []spec.BGPNeighborStatus, s *spec.BGP) {
	for i := range list {
		at := slices.IndexFunc(s.Neighbors, func(n spec.BGPNeighbor) bool { return n.Addr == list[i].Addr })
		if at < 0 || s.Neighbors[at].BFD == 0 {
			continue
		}
		b := &spec.BFDStatus{Every: s.Neighbors[at].BFD, Why: "it could not begin; the daemon's log says why"}
		if st, ok := w.Look(list[i].Addr); ok {
			b.Up, b.Within, b.Why = st.State == Up, int(st.Within.Milliseconds()), st.Why
		}
		list[i].BFD = b
	}
}
