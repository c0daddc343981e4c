package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Listed joins names for one line.
func Listed(names []string) string {
	const most = 10
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// fewUnchanged is how many servers without a change are named one by one.
const fewUnchanged = 3

// Summary is one line per server about what was done; with --quiet, about what was not.
func (a *Page) Summary(out *change.Outcome) {
	longest, unchanged, counted := 0, 0, false
	for _, s := range out.Servers {
		counted = counted || s.Err == nil && len(stepsOf(s)) > 0
		longest = max(longest, len(s.Name))
		if s.State == change.Unchanged {
			unchanged++
		}
	}
	for _, s := range out.Servers {
		if s.State == change.Unchanged && unchanged > fewUnchanged || s.Err == nil && a.Quiet {
			continue
		}
		_ = a.Print(a.Err, "%-*s  %s\n", longest, s.Name, a.brief(s))
		for _, err := range screen.Parts(s.Err) {
			if _, next := hint.Of(err); next != "" && s.State != change.Refused {
				_ = a.Print(a.Err, "%*s  next: %s\n", longest, "", next)
			}
		}
	}
	if unchanged > fewUnchanged {
		a.Say("%d servers unchanged", unchanged)
	}
	if counted && a.Verbose {
		a.Say("%s made, %s changed, %s taken away", spec.Add, spec.Change, spec.Remove)
	}
}

// brief is the result for a server, in a few words.
func (a *Page) brief(s change.Server) screen.Ink {
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

// OutcomeDoc is an outcome as -o json prints it.
type OutcomeDoc struct {
	Generation uint64      `json:"generation"` // of the cluster file
	Saved      bool        `json:"saved"`
	Pending    []string    `json:"pending"` // servers that do not hold what the file says
	Notes      []string    `json:"notes,omitempty"`
	Leaving    []string    `json:"leaving,omitempty"` // dry run: what the file would have no more
	Servers    []serverDoc `json:"servers"`           // those contacted
	// Verified is what traffic last showed, by network; status has it.
	Verified map[string]state.Verdict `json:"verified,omitempty"`
}

type serverDoc struct {
	Name  string `json:"name"`
	State string `json:"state"`
	// WireGuard is what makes the server's devices, if it has any: kernel, userspace.
	WireGuard string              `json:"wireguard,omitempty"`
	BGP       *sessionsDoc        `json:"bgp,omitempty"` // of a server that was looked at and speaks BGP
	Steps     []StepDoc           `json:"steps"`         // done or, in a dry run, planned
	Problems  []*contract.Problem `json:"problems,omitempty"`
	DHCP      []poolDoc           `json:"dhcp,omitempty"`    // networks in which the server runs DHCP for IPv4
	Peers     []peerDoc           `json:"peers,omitempty"`   // status: sessions of the server's WireGuard devices
	Loose     []string            `json:"loose,omitempty"`   // interfaces of containers and guests on no bridge, without address or route
	Awaited   []string            `json:"awaited,omitempty"` // containers that are not there, and are attached when they come
}

// StepDoc is a step as -o json prints it.
type StepDoc struct {
	Action string `json:"action"` // + ~ -
	Object string `json:"object"`
	Detail string `json:"detail,omitempty"`
}

// OutcomeOf is what -o json prints of an outcome.
func OutcomeOf(out *change.Outcome) OutcomeDoc {
	doc := OutcomeDoc{Saved: out.Saved, Pending: OrEmpty(out.Pending), Leaving: out.Leaving, Servers: []serverDoc{}}
	if out.Cluster != nil {
		doc.Generation = out.Cluster.Generation
	}
	for _, n := range slices.Concat(out.Notes, out.Beside, out.Silent, out.Unheard) {
		doc.Notes = append(doc.Notes, n.Network+": "+n.Text)
	}
	for _, s := range out.Servers {
		d := serverDoc{Name: s.Name, State: s.State, Steps: []StepDoc{}}
		if out.Cluster != nil {
			d.WireGuard = wireguardOf(out.Cluster, s.Name)
		}
		d.BGP = sessionsOf(out, s)
		for _, step := range stepsOf(s) {
			d.Steps = append(d.Steps, StepDoc(step))
		}
		for _, err := range screen.Parts(s.Err) {
			d.Problems = append(d.Problems, contract.ProblemOf(err, codeOf(s.State)))
		}
		d.DHCP, d.Peers = poolsOf(s), peersOf(out.Cluster, s)
		if s.Plan != nil {
			d.Loose, d.Awaited = s.Plan.Loose, s.Plan.Awaited
		}
		doc.Servers = append(doc.Servers, d)
	}
	return doc
}

// codeOf is the code of an error of a server in a state that does not say which it has.
func codeOf(state string) contract.Code {
	switch state {
	case change.Refused:
		return contract.Refused
	case change.Unreachable:
		return contract.Unreachable
	}
	return contract.Failed
}

// OrEmpty replaces a nil list: [] in JSON, never null.
func OrEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
