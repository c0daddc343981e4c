package cli

import (
	"fmt"

	"github.com/flocknet/flock/internal/change"
)

// silent are the BGP sessions of a server that should be up and are not.
func silent(out *change.Outcome, s change.Server) []string {
	if s.BGP == nil {
		return nil
	}
	return downSessions(s.BGP, awayIn(out))
}

// sessionsDoc is a server's BGP in short.
type sessionsDoc struct {
	Sessions int      `json:"sessions"`
	Up       int      `json:"up"`
	Down     []string `json:"down,omitempty"` // in words; those with servers that are away are not counted
}

func sessionsOf(out *change.Outcome, s change.Server) *sessionsDoc {
	if s.BGP == nil {
		return nil
	}
	up, _, _ := countBGP(s.BGP)
	return &sessionsDoc{Sessions: len(s.BGP.Neighbors), Up: up, Down: silent(out, s)}
}

func (d *sessionsDoc) text() string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", d.Up, d.Sessions)
}
