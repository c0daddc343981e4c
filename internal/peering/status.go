package peering

import (
	"cmp"

	"github.com/flocknet/flock/internal/spec"
)

// Down describes a session that is down, as a daemon tells of it.
func Down(n spec.BGPNeighborStatus) string {
	text := cmp.Or(n.State, "not there yet")
	if n.Why != "" {
		text += ": " + n.Why
	}
	return text
}

// Unwatched describes a session that is up while BFD is not.
func Unwatched(n spec.BGPNeighborStatus) string {
	text := "up, and BFD is not"
	if n.BFD != nil && n.BFD.Why != "" {
		text += ": " + n.BFD.Why
	}
	return text
}
