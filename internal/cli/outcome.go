package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/view"
)

// alter is a change as a command asks for it.
type alter struct {
	change.Request
	// question is asked before something is taken away; "": nothing is asked. It
	// is called when the edit was accepted, and may be called again.
	question func() string
	// notes are what a plan says of the change as a whole; nil: nothing.
	notes func() []ground.Note
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
				view.LostPorts(out, p.Note)
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
		out.Notes = slices.DeleteFunc(out.Notes, func(n ground.Note) bool { return !slices.Contains(c.networks, n.Network) })
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
		a.Say("%s", c.would(out))
	}
	return err
}

// concluded prints what a change came to.
func (a *app) concluded(out *change.Outcome, c alter) error {
	if a.JSON() {
		if err := a.PrintJSON(view.OutcomeOf(out)); err != nil {
			return err
		}
	}
	unfinished := incomplete(out, c.networks)
	if !c.terse || unfinished != nil {
		a.Summary(out)
	}
	a.Notes(out.Clones)
	a.Notes(out.Silent)
	a.Unheard(out.Unheard)
	view.LoosePorts(out.Servers, func(line string) { a.Say("%s", line) })
	view.AwaitedContainers(out.Servers, func(line string) { a.Say("%s", line) })
	for _, s := range out.Stayed {
		a.Say("%s: %s; what is on it stays", s.Server, s.Err)
	}
	if unfinished != nil {
		return unfinished
	}
	if len(c.networks) > 0 {
		a.Notes(out.Notes)
	}
	if c.said != nil {
		if text := c.said(out); text != "" {
			for line := range strings.SplitSeq(text, "\n") {
				a.Say("%s", line)
			}
		}
	}
	return nil
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
	if a.JSON() {
		return errors.Join(a.PrintJSON(view.OutcomeOf(out)), err)
	}
	if a.touched.Load() {
		a.Summary(out)
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
		a.Summary(&refused)
	}
	return err
}

// planned prints the plan of a dry run.
func (a *app) planned(out *change.Outcome) error {
	if err := a.PrintPlan(out); err != nil {
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
	return partial{hint.Errorf(servers(names), "flock apply", "%s %s pending", view.Listed(names), verb)}
}

func servers(names []string) string {
	if len(names) == 1 {
		return "server " + names[0]
	}
	return "servers " + view.Listed(names)
}
