package edit

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
)

// Bringing names what a cluster that becomes now, by a file that anybody may have
// written, would use of the person who applies it and that was did not use before: this
// workstation itself as a server, key files, and hosts to go through.
func Bringing(was, now *state.Cluster) []string {
	var out []string
	if now.Servers[network.Local] != nil && was.Servers[network.Local] == nil {
		text := "make this workstation a server of the cluster"
		if in := ground.Networks(now, network.Local); len(in) > 0 {
			text = "make this workstation a member of " + strings.Join(in, ", ")
		}
		out = append(out, text)
	}
	identity := func(s *state.Server) string { return s.Identity }
	for _, g := range brought(was, now, identity) {
		out = append(out, fmt.Sprintf("log in to %s with the key %s", g.servers(), g.by))
	}
	jump := func(s *state.Server) string { return strings.TrimPrefix(s.Jump, "none") }
	for _, g := range brought(was, now, jump) {
		out = append(out, fmt.Sprintf("go to %s through %s", g.servers(), g.by))
	}
	return out
}

// way is how servers are reached.
type way struct {
	by string
	to []string // servers, sorted
}

// brought are jump hosts and key files of servers in now that no server in was uses.
func brought(was, now *state.Cluster, by func(*state.Server) string) []*way {
	known, ways := map[string]bool{"": true}, map[string]*way{}
	for _, s := range was.Servers {
		known[by(s)] = true
	}
	var out []*way
	for _, name := range now.ServerNames() {
		text := by(now.Servers[name])
		if known[text] {
			continue
		}
		if ways[text] == nil {
			ways[text] = &way{by: text}
			out = append(out, ways[text])
		}
		ways[text].to = append(ways[text].to, name)
	}
	return out
}

// servers names the servers, the first of many.
func (w *way) servers() string {
	const most = 5
	if len(w.to) <= most {
		return strings.Join(w.to, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(w.to[:most], ", "), len(w.to)-most)
}
