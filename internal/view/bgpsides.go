package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// PrintSpeakers shows all servers side by side.
func (a *Page) PrintSpeakers(c *state.Cluster, list []change.Speaker) error {
	docs := []SpeakerDoc{}
	t := &screen.Table{Whole: a.Wide(), Head: []string{"SERVER", "NETWORK", "AS", "SESSIONS", "ROUTES", "KERNEL", "UP", "WHY"}}
	for _, s := range list {
		docs = append(docs, speakerDocOf(s))
		if s.Status == nil {
			t.Add(s.Server, bgpNetworkOf(c, s.Server), "", "", "", "", "", speakerTrouble(s))
			continue
		}
		up, learned, installed := countBGP(s.Status)
		t.Add(s.Server, s.Status.Network, option.FormatAS(s.Status.AS), fmt.Sprintf("%d/%d", up, len(s.Status.Neighbors)),
			fmt.Sprint(learned), fmt.Sprintf("%d/%d", installed, learned), lasted(s.Status.Uptime), strings.Join(downSessions(s.Status, nil), "; "))
	}
	if a.JSON() {
		return a.PrintJSON(SpeakerList{docs})
	}
	if err := t.Write(a.Out, a.TableWidth()); err != nil {
		return err
	}
	return a.printSides(list)
}

func bgpNetworkOf(c *state.Cluster, server string) string {
	for _, name := range ground.Networks(c, server) {
		if network.KindOf(c.Networks[name]).BGP {
			return name
		}
	}
	return ""
}

func speakerTrouble(s change.Speaker) string {
	if s.Err != nil {
		return s.Err.Error()
	}
	return NoDaemon(s.Server).Error()
}

// countBGP counts the established sessions, the learned routes, and those of them that
// the kernel uses.
func countBGP(s *spec.BGPStatus) (up, learned, installed int) {
	for _, n := range s.Neighbors {
		if n.State == spec.BGPEstablished {
			up++
		}
	}
	for _, r := range s.Routes {
		if r.Local {
			continue
		}
		learned++
		if r.Kernel && r.Unused == "" {
			installed++
		}
	}
	return up, learned, installed
}

// downSessions lists the sessions that are down, except for those with servers that are
// away.
func downSessions(s *spec.BGPStatus, away func(server string) bool) []string {
	var out []string
	for _, n := range s.Neighbors {
		if trouble := bfdTrouble(n); trouble != "" {
			out = append(out, "session with "+n.Addr.String()+" is up, "+trouble)
		}
		if n.State == spec.BGPEstablished || n.Name != "" && away != nil && away(n.Name) {
			continue
		}
		text := "session with " + n.Addr.String()
		if n.Name != "" {
			text = "session with " + n.Name + " (" + n.Addr.String() + ")"
		}
		text += " is " + n.State
		if n.Why != "" {
			text += ": " + n.Why
		}
		out = append(out, text)
	}
	return out
}

// mostSides is how many servers stand side by side on a terminal.
const mostSides = 8

// printSides prints the next hops of every prefix, a column per server.
func (a *Page) printSides(list []change.Speaker) error {
	list = slices.DeleteFunc(slices.Clone(list), func(s change.Speaker) bool { return s.Status == nil })
	if a.OutTTY && len(list) > mostSides && !a.Wide() {
		return nil
	}
	t := &screen.Table{Whole: a.Wide(), Head: []string{"ROUTE"}}
	cells := map[string][]string{}
	var routes []spec.BGPRoute
	for i, s := range list {
		t.Head = append(t.Head, s.Server)
		for _, r := range s.Status.Routes {
			key := r.Prefix.String()
			if cells[key] == nil {
				cells[key] = make([]string, len(list))
				routes = append(routes, r)
			}
			cells[key][i] = sideOf(r)
		}
	}
	if len(routes) == 0 {
		return nil
	}
	slices.SortFunc(routes, func(a, b spec.BGPRoute) int { return a.Prefix.Compare(b.Prefix) })
	for _, r := range routes {
		t.Add(append([]string{r.Prefix.String()}, cells[r.Prefix.String()]...)...)
	}
	if err := a.Print(a.Out, "\n"); err != nil {
		return err
	}
	return t.Write(a.Out, a.TableWidth())
}

// sideOf is one server's next hops for a prefix, in brackets while the kernel does not
// have or use them.
func sideOf(r spec.BGPRoute) string {
	if r.Local {
		return stateLocal
	}
	var hops []string
	for _, p := range usedPaths(r) {
		hops = append(hops, hopOf(p))
	}
	text := strings.Join(slices.Compact(hops), " ")
	if !r.Kernel || r.Unused != "" {
		text = "(" + text + ")"
	}
	return text
}
