package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

func speakerHead(s *spec.BGPStatus) string {
	text := fmt.Sprintf("%s, AS %s, router id %s, up %s", s.Network, option.FormatAS(s.AS), s.RouterID, lasted(s.Uptime))
	if s.Restarts {
		text += ", restarting: it keeps the routes of before until they are confirmed"
	}
	return text
}

func (a *Page) peerTable(s *spec.BGPStatus) *screen.Table {
	t := &screen.Table{Whole: a.Wide(), Head: []string{"PEER", "NAME", "AS", "STATE", "UPTIME", "BFD", "IN", "OUT", "WHY"}}
	watched := slices.ContainsFunc(s.Neighbors, func(n spec.BGPNeighborStatus) bool { return n.BFD != nil })
	if !watched {
		t.Head = slices.Delete(t.Head, 5, 6)
	}
	for _, n := range s.Neighbors {
		uptime := ""
		if n.State == spec.BGPEstablished {
			uptime = lasted(n.Uptime)
		}
		in := fmt.Sprint(n.Accepted)
		if n.Received != n.Accepted {
			in += fmt.Sprintf(" of %d", n.Received)
		}
		row := []string{n.Addr.String(), n.Name, option.FormatAS(n.AS), n.State, uptime}
		if watched {
			row = append(row, bfdText(n.BFD))
		}
		t.Add(append(row, in, fmt.Sprint(n.Sent), cmp.Or(n.Why, bfdTrouble(n), idleRules(n)))...)
	}
	return t
}

// bfdText is up with the milliseconds of silence that end the session, or down.
func bfdText(b *spec.BFDStatus) string {
	switch {
	case b == nil:
		return ""
	case b.Up:
		return fmt.Sprintf("up, %d"+screen.NoBreak+"ms", b.Within)
	}
	return "down"
}

// bfdTrouble says of a session that is up why BFD is not.
func bfdTrouble(n spec.BGPNeighborStatus) string {
	if n.BFD == nil || n.BFD.Up || n.State != spec.BGPEstablished || n.Uptime < spec.BFDBegun {
		return ""
	}
	return "BFD is down: " + n.BFD.Why
}

// idleRules names the rules that match nothing that n announces.
func idleRules(n spec.BGPNeighborStatus) string {
	if len(n.Unmatched) == 0 {
		return ""
	}
	return "it announces nothing of " + strings.Join(rulesOf(n), ", ")
}

// rulesOf are those rules as --accept takes them.
func rulesOf(n spec.BGPNeighborStatus) []string {
	var out []string
	for _, r := range n.Unmatched {
		out = append(out, strings.TrimPrefix(r.String(), "permit "))
	}
	return out
}

// routeTable has one row per route, with -o wide one per path.
func (a *Page) routeTable(s *spec.BGPStatus) *screen.Table {
	t := &screen.Table{Whole: a.Wide(), Head: []string{"ROUTE", "NEXT HOP", "AS PATH", "FROM", "AGE", "KERNEL", "WHY"}}
	for _, r := range s.Routes {
		used := r.Paths
		if !a.Wide() {
			used = usedPaths(r)
		}
		if len(used) == 0 {
			t.Add(r.Prefix.String(), localHop(r), "", "", "", kernelHas(r), whyNot(r))
			continue
		}
		if a.Wide() {
			for _, p := range used {
				t.Add(r.Prefix.String(), hopOf(p), p.ASPath, fromOf(p), lasted(p.Age), pathState(r, p), whyNot(r))
			}
			continue
		}
		var hops, from []string
		for _, p := range used {
			hops, from = append(hops, hopOf(p)), append(from, fromOf(p))
		}
		t.Add(r.Prefix.String(), strings.Join(slices.Compact(hops), " "), used[0].ASPath, strings.Join(slices.Compact(from), " "),
			lasted(used[0].Age), kernelHas(r), whyNot(r))
	}
	return t
}

// usedPaths are the paths whose next hops the kernel has or should have; if it can have
// none, the best path.
func usedPaths(r spec.BGPRoute) []spec.BGPPath {
	used := slices.DeleteFunc(slices.Clone(r.Paths), func(p spec.BGPPath) bool { return !p.Used })
	if len(used) == 0 && len(r.Paths) > 0 {
		used = r.Paths[:1]
	}
	return used
}

func localHop(r spec.BGPRoute) string {
	if r.Local {
		return stateLocal
	}
	return ""
}

func hopOf(p spec.BGPPath) string {
	if !p.NextHop.IsValid() {
		return stateLocal
	}
	return p.NextHop.String()
}

// fromOf is the neighbour that announced a path.
func fromOf(p spec.BGPPath) string {
	switch {
	case p.Name != "":
		return p.Name
	case p.From.IsValid():
		return p.From.String()
	}
	return ""
}

// stateLocal stands for the next hop of routes that a server announces itself.
const stateLocal = "local"

// kernelHas is yes, no, or not used; empty for what a server announces itself.
func kernelHas(r spec.BGPRoute) string {
	switch {
	case r.Local:
		return ""
	case r.Unused != "":
		return "not used"
	case r.Kernel:
		return "yes"
	}
	return "no"
}

// whyNot is the reason why the kernel does not have a route, or does not use it.
func whyNot(r spec.BGPRoute) string { return cmp.Or(r.Why, r.Unused) }

func pathState(r spec.BGPRoute, p spec.BGPPath) string {
	text := kernelHas(r)
	if !p.Used && !r.Local {
		text = "unused"
	}
	if p.Stale {
		text += " stale"
	}
	return text
}

// lasted formats an uptime: 45s, 3m12s, 5h04m, 12d3h.
func lasted(d time.Duration) string {
	d = d.Truncate(time.Second)
	switch s := int(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
	}
}

// NoDaemon is the error about a server that should run a BGP daemon and has none that answers.
func NoDaemon(server string) error {
	return hint.Errorf("server "+server, "flock apply", "no BGP daemon answers on %s", server)
}

// PrintSpeaker prints the sessions and routes of a server whose daemon answered.
func (a *Page) PrintSpeaker(s change.Speaker) error {
	if a.JSON() {
		return a.PrintJSON(speakerDocOf(s))
	}
	if err := a.Print(a.Out, "%s: %s\n\n", s.Server, speakerHead(s.Status)); err != nil {
		return err
	}
	if err := a.peerTable(s.Status).Write(a.Out, a.TableWidth()); err != nil {
		return err
	}
	if len(s.Status.Routes) == 0 {
		return a.Print(a.Out, "\nno routes\n")
	}
	if err := a.Print(a.Out, "\n"); err != nil {
		return err
	}
	return a.routeTable(s.Status).Write(a.Out, a.TableWidth())
}
