package graph

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// networkLine is a network as a line.
func networkLine(c *state.Cluster, v *view.Network) *Line {
	n := c.Networks[v.Name]
	l := &Line{Sort: SortNetwork, Name: v.Name, Type: v.Type, Says: slices.Clone(v.Subnet), members: map[string]bool{}}
	for _, m := range v.Members {
		l.members[m.Server] = true
		if below := network.PlaceNetwork(c, v.Name, m.Member); c.Networks[below] != nil && !slices.Contains(l.Below, below) {
			l.Below = append(l.Below, below)
		}
	}
	shape := n.Topology
	if n.Mode != "" {
		shape = strings.TrimSpace("AS " + option.FormatAS(n.AS) + ", " + n.Mode)
	}
	says := []string{count(len(v.Members), "member")}
	if shape != "" {
		says = append(says, shape)
	}
	if v.MTU > 0 {
		says = append(says, fmt.Sprintf("MTU %d", v.MTU))
	}
	l.Says = append(l.Says, strings.Join(says, ", "))
	l.Health, l.Verdict = judged(v)
	l.Details = networkDetails(v, n)
	return l
}

// networkDetails is what is to be read of a network.
func networkDetails(v *view.Network, n *state.Network) []string {
	out := []string{v.Name + ": " + v.Type}
	add := func(word string, values ...string) {
		if text := strings.Join(values, " "); text != "" {
			out = append(out, word+" "+text)
		}
	}
	add("subnet", v.Subnet...)
	add("gateway", v.Gateway...)
	for _, words := range view.Options(n, v.MTU) {
		out = append(out, strings.ReplaceAll(words, screen.NoBreak, " "))
	}
	add("state", strings.TrimSpace(v.State+" "+few(v.Pending)))
	out = append(out, verdictDetail(v))
	add("shares", v.Shared...)
	for _, note := range v.Notes {
		add("note:", note)
	}
	return out
}

// verdictDetail is what traffic last showed, in one line.
func verdictDetail(v *view.Network) string {
	if v.Verified == nil {
		return "not verified: flock verify " + v.Name
	}
	return fmt.Sprintf("verified %s UTC: %s", v.Verified.Time.UTC().Format("2006-01-02 15:04:05"), v.Verified.Says)
}

// routerLines are the neighbours of a BGP network that are no members: one for each router,
// whatever number of members have a session with it.
func routerLines(v *view.Network) []*Line {
	var out []*Line
	at := map[string]*Line{}
	for _, e := range v.Externals {
		l := at[e.Address]
		if l == nil {
			l = &Line{
				Sort: SortRouter, Name: e.Address, Type: "AS " + option.FormatAS(e.AS), Below: []string{v.Name}, Health: Unknown,
				Verdict: "external of " + v.Name, Details: []string{e.Address + ": AS " + option.FormatAS(e.AS) + ", external of " + v.Name}, members: map[string]bool{},
			}
			at[e.Address], out = l, append(out, l)
		}
		l.members[e.Server] = true
		l.Details = append(l.Details, strings.Join(append([]string{"session with " + e.Server}, e.Rules()...), ", "))
	}
	for _, l := range out {
		l.Says = []string{"sessions with " + few(slices.Collect(maps.Keys(l.members)))}
	}
	return out
}

// mostTunnels of one type may have an end in common until they are drawn as one line.
const mostTunnels = 4

// tunnelLines are tunnels as lines; where one server has many, these are one.
func tunnelLines(c *state.Cluster, views []*view.Network) []*Line {
	var out []*Line
	for len(views) > 0 {
		ends := map[[2]string]int{}
		for _, v := range views {
			for _, m := range v.Members {
				ends[[2]string{m.Server, v.Type}]++
			}
		}
		if len(ends) == 0 { // tunnels without members, in a file that a person broke
			break
		}
		hub := slices.MaxFunc(slices.SortedFunc(maps.Keys(ends), func(a, b [2]string) int {
			return cmp.Or(screen.ByName(a[0], b[0]), strings.Compare(a[1], b[1]))
		}), func(a, b [2]string) int { return ends[a] - ends[b] })
		if ends[hub] <= mostTunnels {
			break
		}
		var bundled, others []*view.Network
		for _, v := range views {
			if v.Type == hub[1] && slices.Contains(endsOf(v), hub[0]) {
				bundled = append(bundled, v)
			} else {
				others = append(others, v)
			}
		}
		out, views = append(out, bundle(c, hub[0], bundled)), others
	}
	for _, v := range views {
		out = append(out, tunnelLine(c, v))
	}
	return out
}

func endsOf(v *view.Network) []string {
	var out []string
	for _, m := range v.Members {
		out = append(out, m.Server)
	}
	return out
}

func tunnelLine(c *state.Cluster, v *view.Network) *Line {
	l := networkLine(c, v)
	l.Sort = SortTunnel
	l.Says = []string{strings.Join(v.Subnet, " "), strings.Join(endsOf(v), " – ")}
	if v.MTU > 0 {
		l.Says[0] += fmt.Sprintf(", MTU %d", v.MTU)
	}
	return l
}

// bundle is one line for the tunnels that a server has to others.
func bundle(c *state.Cluster, hub string, views []*view.Network) *Line {
	l := &Line{
		Sort: SortTunnels, Name: fmt.Sprintf("%d tunnels of %s", len(views), hub), Type: views[0].Type, Says: []string{},
		Details: []string{fmt.Sprintf("%d %s tunnels of %s", len(views), views[0].Type, hub)}, Health: Well, members: map[string]bool{hub: true},
	}
	states := map[Health]int{}
	for _, v := range views {
		one := tunnelLine(c, v)
		maps.Copy(l.members, one.members)
		states[one.Health]++
		l.Health = worse(l.Health, one.Health)
		l.Details = append(l.Details, strings.Join(append([]string{v.Name, strings.Join(endsOf(v), " – ")}, v.Subnet...), " ")+", "+one.Verdict)
		for _, below := range one.Below {
			if !slices.Contains(l.Below, below) {
				l.Below = append(l.Below, below)
			}
		}
	}
	var words []string
	for _, h := range []Health{Bad, Warned, Unknown, Well} {
		if states[h] > 0 {
			words = append(words, fmt.Sprint(states[h], " ", map[Health]string{Bad: "lost", Warned: "pending or lossy", Unknown: "not verified", Well: "passing"}[h]))
		}
	}
	l.Verdict = strings.Join(words, ", ")
	return l
}

// worse is the worse of two.
func worse(a, b Health) Health {
	all := []Health{Well, Unknown, Warned, Bad}
	return all[max(slices.Index(all, a), slices.Index(all, b))]
}
