package edit

import (
	"cmp"
	"slices"

	"github.com/flocknet/flock/internal/state"
)

// Bury notes that a server, as it was last known, leaves with something of flock's on it.
// What was never contacted has nothing.
func Bury(c *state.Cluster, name string, s *state.Server, replaced bool) {
	if s.Facts == nil {
		return
	}
	g := state.Gone{
		Name: name, Replaced: replaced, Address: cmp.Or(s.Address, name), User: s.User, Port: s.Port, Identity: s.Identity, Jump: s.Jump,
		Machine: s.Facts.Machine, HostKey: s.Facts.HostKey,
	}
	if !slices.Contains(c.Gone, g) {
		c.Gone = append(c.Gone, g)
	}
}

// Forget drops the notes about servers that are gone for which is says so, and says whether
// there were any.
func Forget(c *state.Cluster, is func(state.Gone) bool) bool {
	had := len(c.Gone)
	if c.Gone = slices.DeleteFunc(c.Gone, is); len(c.Gone) == 0 {
		c.Gone = nil
	}
	return len(c.Gone) < had
}

// takePlace has another machine take the place of the one that s was so far: it has its
// memberships and what was dealt to it, and makes keys of its own.
func takePlace(c *state.Cluster, name string, s, was *state.Server) {
	Bury(c, name, was, true)
	s.Confirmed = nil
	for _, n := range c.Networks {
		if a := n.Allocated[name]; a != nil {
			a.Key = ""
		}
	}
}
