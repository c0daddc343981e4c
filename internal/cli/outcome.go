package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
)

// alter is a change as a command asks for it.
type alter struct {
	change.Request
	// question is asked before something is taken away; "": nothing is asked. It
	// is called when the edit was accepted, and may be called again.
	question func() string
	// notes are what a plan says of the change as a whole; nil: nothing.
	notes func() []network.Note
	// networks are those whose pending members keep the exit status from being 0,
	// beside the servers that were contacted.
	networks []string
	// said is the last line when all went well; nil: none.
	said func(*change.Outcome) string
	// would is the last line of a dry run whose plan does not tell it all; nil: none.
	would func(*change.Outcome) string
	// terse: servers that are as they were are not worth a line.
	terse bool
}

// alter carries a change out and prints what came of it.
func (a *app) alter(ctx context.Context, c alter) error {
	c.DryRun = a.flags.dryRun
	if !c.All {
		c.Networks = c.networks
	}
	out, err := a.work(func(e engine, p *progress) (*change.Outcome, error) {
		if c.question != nil {
			c.Accepted = func() error { return a.mayAsk(c.question()) }
			c.Asks = func() bool { return !a.flags.yes && c.question() != "" }
			c.Approve = func(out *change.Outcome) (bool, error) {
				q := c.question()
				lostPorts(out, p.Note)
				return true, a.confirmIf(p, q)
			}
		}
		return e.Run(ctx, c.Request)
	})
	if traced := a.trace(out, c.DryRun); traced != nil {
		return traced
	}
	if err != nil {
		return a.failed(out, err)
	}
	if len(c.networks) > 0 {
		out.Notes = slices.DeleteFunc(out.Notes, func(n network.Note) bool { return !slices.Contains(c.networks, n.Network) })
	}
	if c.DryRun {
		return a.foreseen(out, c)
	}
	return a.concluded(out, c)
}

// foreseen prints what a dry run found.
func (a *app) foreseen(out *change.Outcome, c alter) error {
	if c.notes != nil {
		out.Notes = append(c.notes(), out.Notes...)
	}
	err := a.planned(out)
	if err == nil && c.would != nil {
		a.say("%s", c.would(out))
	}
	return err
}

// concluded prints what a change came to.
func (a *app) concluded(out *change.Outcome, c alter) error {
	if a.json() {
		if err := a.printJSON(outcomeOf(out)); err != nil {
			return err
		}
	}
	unfinished := incomplete(out, c.networks)
	if !c.terse || unfinished != nil {
		a.summary(out)
	}
	a.notes(out.Clones)
	a.notes(out.Silent)
	a.unheard(out.Unheard)
	loosePorts(out.Servers, func(line string) { a.say("%s", line) })
	for _, s := range out.Stayed {
		a.say("%s: %s; what is on it stays", s.Server, s.Err)
	}
	if unfinished != nil {
		return unfinished
	}
	if len(c.networks) > 0 {
		a.notes(out.Notes)
	}
	if c.said != nil {
		if text := c.said(out); text != "" {
			for line := range strings.SplitSeq(text, "\n") {
				a.say("%s", line)
			}
		}
	}
	return nil
}

// notes prints what a person should know and no server's plan shows.
func (a *app) notes(list []network.Note) {
	for _, n := range list {
		a.say("note: %s: %s", n.Network, n.Text)
	}
}

func (a *app) confirmIf(p *progress, question string) error {
	if question == "" {
		return nil
	}
	return a.confirm(p, question)
}

// failed lists the servers that refused, if the error alone does not.
func (a *app) failed(out *change.Outcome, err error) error {
	if out == nil {
		return err
	}
	if a.json() {
		return errors.Join(a.printJSON(outcomeOf(out)), err)
	}
	if a.touched.Load() {
		a.summary(out)
		return err
	}
	refused := *out
	refused.Servers = nil
	count := 0
	for _, s := range out.Servers {
		if s.State == change.Refused {
			refused.Servers = append(refused.Servers, s)
			count += len(screen.Parts(s.Err))
		}
	}
	if count > 1 {
		a.summary(&refused)
	}
	return err
}

// planned prints the plan of a dry run.
func (a *app) planned(out *change.Outcome) error {
	if err := a.printPlan(out); err != nil {
		return err
	}
	return incomplete(&change.Outcome{Servers: out.Servers}, nil)
}

// incomplete is the error about servers that did not converge; nil if all did.
func incomplete(out *change.Outcome, networks []string) error {
	var names []string
	for _, s := range out.Servers {
		if s.Err != nil || slices.Contains(out.Pending, s.Name) {
			names = append(names, s.Name)
		}
	}
	for _, name := range out.Pending {
		member := func(network string) bool { return isMember(out.Cluster, network, name) }
		if slices.ContainsFunc(networks, member) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.SortFunc(names, screen.ByName)
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	return partial{hint.Errorf(servers(names), "flock apply", "%s %s pending", listed(names), verb)}
}

func servers(names []string) string {
	if len(names) == 1 {
		return "server " + names[0]
	}
	return "servers " + listed(names)
}

// listed joins names for one line.
func listed(names []string) string {
	const most = 10
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// say prints a line for a person.
func (a *app) say(format string, args ...any) {
	if !a.flags.quiet {
		_ = a.print(a.Err, format+"\n", args...) // an error has nobody to be shown to
	}
}

// fewUnchanged is how many servers without a change are named one by one.
const fewUnchanged = 3

// summary is one line per server about what was done; with --quiet, about what was not.
func (a *app) summary(out *change.Outcome) {
	longest, unchanged := 0, 0
	for _, s := range out.Servers {
		longest = max(longest, len(s.Name))
		if s.State == change.Unchanged {
			unchanged++
		}
	}
	for _, s := range out.Servers {
		if s.State == change.Unchanged && unchanged > fewUnchanged || s.Err == nil && a.flags.quiet {
			continue
		}
		_ = a.print(a.Err, "%-*s  %s\n", longest, s.Name, a.brief(s))
		for _, err := range screen.Parts(s.Err) {
			if _, next := hint.Of(err); next != "" && s.State != change.Refused {
				_ = a.print(a.Err, "%*s  next: %s\n", longest, "", next)
			}
		}
	}
	if unchanged > fewUnchanged {
		a.say("%d servers unchanged", unchanged)
	}
}

// brief is the result for a server, in a few words.
func (a *app) brief(s change.Server) screen.Ink {
	if s.Err != nil {
		return screen.Ink(a.paint(a.ErrTTY, red, s.State) + ": " + screen.Message(s.Err))
	}
	steps := stepsOf(s)
	if len(steps) == 0 {
		return screen.Ink(screen.Visible(s.State))
	}
	return screen.Ink(counts(steps))
}

// counts is "+6 ~1 -2".
func counts(steps []spec.Step) string {
	n := map[string]int{}
	for _, step := range steps {
		n[step.Action]++
	}
	var out []string
	for _, action := range []string{spec.Add, spec.Change, spec.Remove} {
		if n[action] > 0 {
			out = append(out, fmt.Sprintf("%s%d", action, n[action]))
		}
	}
	return strings.Join(out, " ")
}

// stepsOf are the steps that were done, or those that are planned.
func stepsOf(s change.Server) []spec.Step {
	switch {
	case s.Report != nil:
		return s.Report.Steps
	case s.Plan != nil:
		return s.Plan.Steps
	}
	return nil
}

// outcomeDoc is an outcome as -o json prints it.
type outcomeDoc struct {
	Generation uint64      `json:"generation"` // of the cluster file
	Saved      bool        `json:"saved"`
	Pending    []string    `json:"pending"` // servers that do not hold what the file says
	Notes      []string    `json:"notes,omitempty"`
	Leaving    []string    `json:"leaving,omitempty"` // dry run: what the file would have no more
	Servers    []serverDoc `json:"servers"`           // those contacted
}

type serverDoc struct {
	Name  string `json:"name"`
	State string `json:"state"`
	// WireGuard is what makes the server's devices, if it has any: kernel, userspace.
	WireGuard string       `json:"wireguard,omitempty"`
	BGP       *sessionsDoc `json:"bgp,omitempty"` // of a server that was looked at and speaks BGP
	Steps     []stepDoc    `json:"steps"`         // done or, in a dry run, planned
	Problems  []problemDoc `json:"problems,omitempty"`
	DHCP      []poolDoc    `json:"dhcp,omitempty"`  // networks in which the server runs DHCP for IPv4
	Peers     []peerDoc    `json:"peers,omitempty"` // status: sessions of the server's WireGuard devices
	Loose     []string     `json:"loose,omitempty"` // interfaces of containers and guests on no bridge, without address or route
}

type stepDoc struct {
	Action string `json:"action"` // + ~ -
	Object string `json:"object"`
	Detail string `json:"detail,omitempty"`
}

type problemDoc struct {
	What  string `json:"what"`
	Where string `json:"where,omitempty"`
	Next  string `json:"next,omitempty"`
}

func outcomeOf(out *change.Outcome) outcomeDoc {
	doc := outcomeDoc{Saved: out.Saved, Pending: orEmpty(out.Pending), Leaving: out.Leaving, Servers: []serverDoc{}}
	if out.Cluster != nil {
		doc.Generation = out.Cluster.Generation
	}
	for _, n := range slices.Concat(out.Notes, out.Clones, out.Silent, out.Unheard) {
		doc.Notes = append(doc.Notes, n.Network+": "+n.Text)
	}
	for _, s := range out.Servers {
		d := serverDoc{Name: s.Name, State: s.State, Steps: []stepDoc{}}
		if out.Cluster != nil {
			d.WireGuard = wireguardOf(out.Cluster, s.Name)
		}
		d.BGP = sessionsOf(out, s)
		for _, step := range stepsOf(s) {
			d.Steps = append(d.Steps, stepDoc(step))
		}
		for _, err := range screen.Parts(s.Err) {
			where, next := hint.Of(err)
			d.Problems = append(d.Problems, problemDoc{err.Error(), where, next})
		}
		d.DHCP, d.Peers = poolsOf(s), peersOf(out.Cluster, s)
		if s.Plan != nil {
			d.Loose = s.Plan.Loose
		}
		doc.Servers = append(doc.Servers, d)
	}
	return doc
}

// orEmpty replaces a nil list: [] in JSON, never null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// printJSON prints the one document of a command.
func (a *app) printJSON(doc any) error {
	e := json.NewEncoder(a.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}
