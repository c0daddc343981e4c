package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

func newShowBGP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "showbgp [SERVER]",
		Short: "look at the sessions and routes of BGP, live",
		Long: `Show the BGP sessions of a server and its routes: IN and OUT are the prefixes that were
accepted of a peer and announced to it, WHY says what is in the way; KERNEL whether the
kernel has the route and uses it: another one to the same destination may go before it.
-o wide shows every path, not only those in use. Without SERVER all servers that speak BGP
stand side by side, with the next hops that each has for a prefix.

Exit status 3 when a server cannot be reached.

  flock showbgp s1
  flock showbgp -o json`,
		Args:              between(0, 1),
		ValidArgsFunction: a.completeSpeakers(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.showBGP(cmd.Context(), args) },
	}
}

// completeSpeakers offers the members of BGP networks.
func (a *app) completeSpeakers() completer {
	return a.complete(1, func(c *state.Cluster, _ []string, _ string) []string {
		return slices.Sorted(maps.Keys(network.Speakers(c)))
	})
}

func (a *app) showBGP(ctx context.Context, args []string) error {
	c, err := a.load(ctx)
	if err != nil {
		return err
	}
	servers, err := speakersOf(c, args)
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		if a.json() {
			return a.printJSON([]speakerDoc{})
		}
		a.say("no server speaks BGP; next: flock createbgp NAME SERVER")
		return nil
	}
	var list []change.Speaker
	err = a.with(func(e engine, _ *progress) (err error) {
		list, err = e.BGP(ctx, servers, nil, 0)
		return err
	})
	if err != nil {
		return err
	}
	if len(args) == 1 {
		err = a.showSpeaker(list[0])
	} else {
		err = a.showSpeakers(c, list)
	}
	a.notes(amissAmong(c, list))
	return err
}

// amissAmong is what of the networks of speakers is not as it was meant.
func amissAmong(c *state.Cluster, list []change.Speaker) []network.Note {
	compiled, err := network.Compile(c)
	if err != nil {
		return nil
	}
	spoken := func(name string) bool {
		return slices.ContainsFunc(list, func(s change.Speaker) bool { return s.Status != nil && s.Status.Network == name })
	}
	return slices.DeleteFunc(compiled.Notes, func(n network.Note) bool { return !n.Amiss || !spoken(n.Network) })
}

// speakersOf are the servers to look at: the one named, or all that speak BGP.
func speakersOf(c *state.Cluster, args []string) ([]string, error) {
	if len(args) == 0 {
		return slices.SortedFunc(maps.Keys(network.Speakers(c)), byName), nil
	}
	switch name := args[0]; {
	case c.Servers[name] == nil:
		return nil, usage{hint.Errorf("server "+name, "flock listservers", "unknown server %s", name)}
	case !network.Speakers(c)[name]:
		return nil, usage{hint.Errorf("server "+name, "flock addbgp NAME peer "+name, "%s speaks no BGP: it is a member of no BGP network", name)}
	}
	return args, nil
}

func noDaemon(server string) error {
	return hint.Errorf("server "+server, "flock apply", "no BGP daemon answers on %s", server)
}

func (a *app) showSpeaker(s change.Speaker) error {
	switch {
	case s.Err != nil:
		return partial{s.Err}
	case s.Status == nil:
		return partial{noDaemon(s.Server)}
	case a.json():
		return a.printJSON(speakerDocOf(s))
	}
	if err := a.print(a.Out, "%s: %s\n\n", s.Server, speakerHead(s.Status)); err != nil {
		return err
	}
	if err := a.peerTable(s.Status).write(a.Out, a.tableWidth()); err != nil {
		return err
	}
	if len(s.Status.Routes) == 0 {
		return a.print(a.Out, "\nno routes\n")
	}
	if err := a.print(a.Out, "\n"); err != nil {
		return err
	}
	return a.routeTable(s.Status).write(a.Out, a.tableWidth())
}

func speakerHead(s *spec.BGPStatus) string {
	text := fmt.Sprintf("%s, AS %s, router id %s, up %s", s.Network, network.FormatAS(s.AS), s.RouterID, lasted(s.Uptime))
	if s.Restarts {
		text += ", restarting: it keeps the routes of before until they are confirmed"
	}
	return text
}

func (a *app) peerTable(s *spec.BGPStatus) *table {
	t := &table{whole: a.wide(), head: []string{"PEER", "NAME", "AS", "STATE", "UPTIME", "IN", "OUT", "WHY"}}
	for _, n := range s.Neighbors {
		uptime := ""
		if n.State == spec.BGPEstablished {
			uptime = lasted(n.Uptime)
		}
		in := fmt.Sprint(n.Accepted)
		if n.Received != n.Accepted {
			in += fmt.Sprintf(" of %d", n.Received)
		}
		t.add(n.Addr.String(), n.Name, network.FormatAS(n.AS), n.State, uptime, in, fmt.Sprint(n.Sent), cmp.Or(n.Why, idleRules(n)))
	}
	return t
}

// idleRules says which rules match nothing of what n announces.
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
func (a *app) routeTable(s *spec.BGPStatus) *table {
	t := &table{whole: a.wide(), head: []string{"ROUTE", "NEXT HOP", "AS PATH", "FROM", "AGE", "KERNEL", "WHY"}}
	for _, r := range s.Routes {
		used := r.Paths
		if !a.wide() {
			used = usedPaths(r)
		}
		if len(used) == 0 {
			t.add(r.Prefix.String(), localHop(r), "", "", "", kernelHas(r), whyNot(r))
			continue
		}
		if a.wide() {
			for _, p := range used {
				t.add(r.Prefix.String(), hopOf(p), p.ASPath, fromOf(p), lasted(p.Age), pathState(r, p), whyNot(r))
			}
			continue
		}
		var hops, from []string
		for _, p := range used {
			hops, from = append(hops, hopOf(p)), append(from, fromOf(p))
		}
		t.add(r.Prefix.String(), strings.Join(slices.Compact(hops), " "), used[0].ASPath, strings.Join(slices.Compact(from), " "),
			lasted(used[0].Age), kernelHas(r), whyNot(r))
	}
	return t
}

// usedPaths are those that the kernel has, or would have; of a route that it can
// have none of, the best.
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

// fromOf is who announced a path.
func fromOf(p spec.BGPPath) string {
	switch {
	case p.Name != "":
		return p.Name
	case p.From.IsValid():
		return p.From.String()
	}
	return ""
}

// stateLocal is the next hop of what a server announces itself.
const stateLocal = "local"

// kernelHas is yes, no, not used, or nothing to say: what a server announces itself is its
// own bridge's.
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

// whyNot says why the kernel has a route not, or does not use it.
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

// lasted is a duration as uptimes are written: 45s, 3m12s, 5h04m, 12d3h.
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

// showSpeakers shows all servers side by side.
func (a *app) showSpeakers(c *state.Cluster, list []change.Speaker) error {
	lost := false
	docs := []speakerDoc{}
	t := &table{whole: a.wide(), head: []string{"SERVER", "NETWORK", "AS", "SESSIONS", "ROUTES", "KERNEL", "UP", "WHY"}}
	for _, s := range list {
		docs = append(docs, speakerDocOf(s))
		if s.Status == nil {
			lost = true
			t.add(s.Server, bgpNetworkOf(c, s.Server), "", "", "", "", "", speakerTrouble(s))
			continue
		}
		up, learned, installed := countBGP(s.Status)
		t.add(s.Server, s.Status.Network, network.FormatAS(s.Status.AS), fmt.Sprintf("%d/%d", up, len(s.Status.Neighbors)),
			fmt.Sprint(learned), fmt.Sprintf("%d/%d", installed, learned), lasted(s.Status.Uptime), strings.Join(downSessions(s.Status, nil), "; "))
	}
	var err error
	if a.json() {
		err = a.printJSON(docs)
	} else if err = t.write(a.Out, a.tableWidth()); err == nil {
		err = a.printSides(list)
	}
	if err == nil && lost {
		err = exit(ExitPartial)
	}
	return err
}

func bgpNetworkOf(c *state.Cluster, server string) string {
	for _, name := range network.Networks(c, server) {
		if c.Networks[name].Type == network.BGP {
			return name
		}
	}
	return ""
}

func speakerTrouble(s change.Speaker) string {
	if s.Err != nil {
		return s.Err.Error()
	}
	return noDaemon(s.Server).Error()
}

// countBGP counts the established sessions, the routes that were learned and those
// of them that the kernel uses.
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

// downSessions says which sessions are not up, but for those with servers that are
// away.
func downSessions(s *spec.BGPStatus, away func(server string) bool) []string {
	var out []string
	for _, n := range s.Neighbors {
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
func (a *app) printSides(list []change.Speaker) error {
	list = slices.DeleteFunc(slices.Clone(list), func(s change.Speaker) bool { return s.Status == nil })
	if a.OutTTY && len(list) > mostSides && !a.wide() {
		return nil
	}
	t := &table{whole: a.wide(), head: []string{"ROUTE"}}
	cells := map[string][]string{}
	var routes []spec.BGPRoute
	for i, s := range list {
		t.head = append(t.head, s.Server)
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
		t.add(append([]string{r.Prefix.String()}, cells[r.Prefix.String()]...)...)
	}
	if err := a.print(a.Out, "\n"); err != nil {
		return err
	}
	return t.write(a.Out, a.tableWidth())
}

// sideOf is one server's way to a prefix: its next hops, in brackets while the
// kernel does not have or use them.
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
