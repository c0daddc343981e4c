// Package graph owns the picture of a cluster: what is on it, where that stands, and how it is
// written as SVG, as a page for browsers, for Mermaid and for Graphviz. It is pure: the same
// cluster and verdicts give the same bytes, so that a picture can be kept beside the cluster file
// and compared.
package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/verify"
	"github.com/flocknet/flock/internal/view"
)

// Health is what is known of something from the cluster file and the last verdicts.
type Health string

// From the best to the worst.
const (
	Well    Health = "well"    // a server confirmed what the file says; the packets of a network pass
	Unknown Health = "unknown" // nobody tried
	Warned  Health = "warned"  // something is pending, or some packets are lost or too large
	Bad     Health = "bad"     // packets do not pass, or what is in the file makes no sense
)

// Mark shows a health to those who do not see colours.
func (h Health) Mark() string {
	return map[Health]string{Well: "✓", Unknown: "?", Warned: "!", Bad: "✗"}[h]
}

// Sorts of lines.
const (
	SortNetwork = "network"
	SortTunnel  = "tunnel"
	SortTunnels = "tunnels" // several of one type that have an end in common
	SortRouter  = "router"  // a BGP neighbour that is no member
)

// Model is the picture of a cluster: lines, and groups of servers that are on the same ones. A
// mesh is one line with all its members on it, whatever number of tunnels or sessions it has.
type Model struct {
	Cluster    string   `json:"cluster"`
	Generation uint64   `json:"generation"`
	Lines      []*Line  `json:"lines"`
	Groups     []*Group `json:"groups"`
}

// Line is what servers have in common: a network, a tunnel or several, a router.
type Line struct {
	ID      string   `json:"id"` // l1, l2, …
	Sort    string   `json:"sort"`
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Says    []string `json:"says"`            // what the picture shows below the name
	Verdict string   `json:"verdict"`         // what traffic last showed, or what else its health comes from
	Details []string `json:"details"`         // a line each
	Below   []string `json:"below,omitempty"` // names of lines that it is built on: networks it is stacked on, a router's network
	Health  Health   `json:"health"`

	members map[string]bool // servers
}

// Group are servers that are on the same lines.
type Group struct {
	ID      string    `json:"id"`    // g1, g2, …
	Lines   []string  `json:"lines"` // their names, as Model has them
	Servers []*Server `json:"servers"`

	on []*Line
}

// Server is a server as it is drawn.
type Server struct {
	ID      string   `json:"id"` // s1, s2, … by name
	Name    string   `json:"name"`
	Says    []string `json:"says"`
	Details []string `json:"details"`
	Health  Health   `json:"health"`
}

// Servers are those of all groups.
func (m *Model) Servers() []*Server {
	var out []*Server
	for _, g := range m.Groups {
		out = append(out, g.Servers...)
	}
	return out
}

// Title is the cluster, with how much there is of it.
func (m *Model) Title() string {
	return fmt.Sprintf("cluster %s, generation %d: %s", m.Cluster, m.Generation, m.Counts())
}

// Counts says how many servers and lines of each sort there are.
func (m *Model) Counts() string {
	of := map[string]int{}
	for _, l := range m.Lines {
		of[l.Sort]++
	}
	words := []string{count(len(m.Servers()), "server")}
	if of[SortNetwork] > 0 || len(m.Lines) == 0 {
		words = append(words, count(of[SortNetwork], "network"))
	}
	for _, c := range []struct{ sort, word string }{{SortTunnel, "tunnel"}, {SortTunnels, "group of tunnels"}, {SortRouter, "router"}} {
		if of[c.sort] > 0 {
			words = append(words, count(of[c.sort], c.word))
		}
	}
	return strings.Join(words, ", ")
}

func count(n int, word string) string {
	switch {
	case n == 1:
		return "1 " + word
	case word == "group of tunnels":
		return fmt.Sprintf("%d groups of tunnels", n)
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Build makes the picture of the networks in views, as listnetworks has them, and of their
// members; with all of every server of the cluster. Servers are as listservers has them.
func Build(c *state.Cluster, views []*view.Network, servers []view.Server, all bool) *Model {
	m := &Model{Cluster: c.Name, Generation: c.Generation}
	tunnels := []*view.Network{}
	for _, v := range views {
		if network.KindOf(c.Networks[v.Name]).Tunnel {
			tunnels = append(tunnels, v)
			continue
		}
		m.Lines = append(m.Lines, networkLine(c, v))
		m.Lines = append(m.Lines, routerLines(v)...)
	}
	m.Lines = append(m.Lines, tunnelLines(c, tunnels)...)
	for i, l := range m.Lines {
		l.ID = fmt.Sprint("l", i+1)
	}
	m.group(c, views, servers, all)
	return m
}

// group puts every server with those that are on the same lines.
func (m *Model) group(c *state.Cluster, views []*view.Network, servers []view.Server, all bool) {
	groups := map[string]*Group{}
	for i := range servers {
		s := serverOf(c, views, &servers[i])
		s.ID = fmt.Sprint("s", i+1)
		on, key := []*Line{}, ""
		for _, l := range m.Lines {
			if l.members[s.Name] && c.Servers[s.Name] != nil {
				on, key = append(on, l), key+l.ID+" "
			}
		}
		if len(on) == 0 && !all {
			continue
		}
		if groups[key] == nil {
			groups[key] = &Group{on: on, Lines: []string{}}
			for _, l := range on {
				groups[key].Lines = append(groups[key].Lines, l.Name)
			}
		}
		groups[key].Servers = append(groups[key].Servers, s)
	}
	place := map[*Line]int{nil: len(m.Lines)}
	for i, l := range m.Lines {
		place[l] = i
	}
	m.Groups = slices.SortedFunc(maps.Values(groups), func(a, b *Group) int {
		for i := range max(len(a.on), len(b.on)) {
			if d := place[at(a.on, i)] - place[at(b.on, i)]; d != 0 {
				return d
			}
		}
		return 0
	})
	for i, g := range m.Groups {
		g.ID = fmt.Sprint("g", i+1)
	}
}

// at is a group's line; those that have none more come after others.
func at(list []*Line, i int) *Line {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// judged is the health of a network, in one word, and in a few.
func judged(v *view.Network) (Health, string) {
	when := ""
	if v.Verified != nil {
		when = " " + v.Verified.Time.UTC().Format("2006-01-02 15:04") + " UTC"
	}
	switch {
	case v.State == view.StateBroken:
		return Bad, view.StateBroken
	case v.Verified != nil && slices.Contains([]string{verify.Lossy, verify.Narrow}, v.Verified.State):
		return Warned, v.Verified.State + when
	case v.Verified != nil && v.Verified.State != verify.Passes:
		return Bad, v.Verified.State + when
	case v.State == view.StatePending:
		return Warned, "pending " + few(v.Pending)
	case v.Verified != nil:
		return Well, v.Verified.State + when
	case len(v.Members) == 0:
		return Unknown, "no members"
	}
	return Unknown, "not verified"
}

// few are the first of many names.
func few(names []string) string {
	names = slices.SortedFunc(slices.Values(names), screen.ByName)
	if len(names) > 3 {
		return strings.Join(names[:3], " ") + fmt.Sprintf(" +%d", len(names)-3)
	}
	return strings.Join(names, " ")
}
