package command

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// Alter is a change as a command asks for it.
type Alter struct {
	change.Request
	// Question is asked before something is taken away; "": nothing is asked. It
	// is called when the edit was accepted, and may be called again.
	Question func() string
	// Notes are what a plan says of the change as a whole; nil: nothing.
	Notes func() []ground.Note
	// About are the networks whose pending members keep the exit status from being 0,
	// beside the servers that were contacted.
	About []string
	// Away are servers that may be unreachable: what is to do there is pending, is told, and does
	// not keep the exit status from being 0.
	Away []string
	// Said is the last line when all went well; nil: none.
	Said func(*change.Outcome) string
	// Would is the last line of a dry run whose plan does not tell it all; nil: none.
	Would func(*change.Outcome) string
	// Already takes the place of Question, Said and Would where the edit finds everything as
	// it should be: a script may be run twice. nil: they stay.
	Already func(*change.Outcome) string
	// Terse: servers that are as they were are not worth a line.
	Terse bool
}

// Alter carries a change out and prints what came of it.
func (a *App) Alter(ctx context.Context, c Alter) error {
	c.DryRun, c.NoVerify = a.flags.dryRun, a.flags.noVerify
	if !c.All {
		c.Networks = c.About
	}
	same := c.watch()
	began := time.Now()
	out, err := a.Work(func(e Engine, p *Progress) (*change.Outcome, error) {
		c.Approve = func(out *change.Outcome) (bool, error) {
			view.LostPorts(out, p.Note)
			if c.Question == nil {
				return true, nil
			}
			return true, a.confirmIf(p, c.Question())
		}
		if c.Question != nil {
			c.Accepted = func() error { return a.MayAsk(c.Question()) }
			c.Asks = func() bool { return !a.flags.yes && c.Question() != "" }
		}
		return e.Run(ctx, c.Request)
	})
	if traced := a.Trace(out, c.DryRun); traced != nil {
		return traced
	}
	if err != nil {
		return a.Failed(out, err)
	}
	if same() {
		c.Said, c.Would = c.Already, c.Already
	}
	if len(c.About) > 0 {
		out.Notes = slices.DeleteFunc(out.Notes, func(n ground.Note) bool { return !standsOn(out.Cluster, n.Network, c.About) })
	}
	if c.DryRun {
		return a.foreseen(out, c)
	}
	if err := a.concluded(out, c); err != nil {
		return err
	}
	a.took(time.Since(began) - time.Duration(a.asked.Load()))
	return nil
}

// took says to a person how long a change took, without what the person took to answer.
func (a *App) took(d time.Duration) {
	if a.ErrTTY && d >= time.Second {
		a.Say("took %.1f s", d.Seconds())
	}
}

// standsOn says whether a network is one of others, or is stacked on one, on whatever lies between.
func standsOn(c *state.Cluster, name string, others []string) bool {
	if slices.Contains(others, name) {
		return true
	}
	n := c.Networks[name]
	return n != nil && slices.ContainsFunc(n.Members, func(member string) bool {
		below := network.PlaceNetwork(c, name, member)
		return below != "" && below != name && standsOn(c, below, others)
	})
}

// watch makes c note whether its edit changes anything. Nothing is asked where it does not.
func (c *Alter) watch() (same func() bool) {
	if c.Already == nil {
		return func() bool { return false }
	}
	as := false
	edit, question := c.Edit, c.Question
	c.Edit = func(cluster *state.Cluster) error {
		before := cluster.Clone()
		err := edit(cluster)
		as = err == nil && reflect.DeepEqual(before, cluster)
		return err
	}
	if question != nil {
		c.Question = func() string {
			if as {
				return ""
			}
			return question()
		}
	}
	return func() bool { return as }
}

// foreseen prints what a dry run found.
func (a *App) foreseen(out *change.Outcome, c Alter) error {
	if c.Notes != nil {
		out.Notes = append(c.Notes(), out.Notes...)
	}
	if err := a.PrintPlan(out); err != nil {
		return err
	}
	gone := c.Away
	if c.Force && c.Retire != nil {
		gone = append(c.Retire(), gone...)
	}
	away := awayOf(out, gone)
	if err := incomplete(&change.Outcome{Servers: out.Servers}, nil, away); err != nil {
		return err
	}
	if len(away) > 0 {
		a.Say("%s: away; flock apply cleans it when it answers again", view.Listed(away))
	}
	if c.Would != nil {
		a.Say("%s", c.Would(out))
	}
	return nil
}

// concluded prints what a change came to.
func (a *App) concluded(out *change.Outcome, c Alter) error {
	if a.JSON() {
		if err := a.PrintJSON(view.OutcomeOf(out)); err != nil {
			return err
		}
	}
	away := awayOf(out, c.Away)
	unfinished := incomplete(out, c.About, away)
	if !c.Terse || unfinished != nil {
		a.Summary(out)
	}
	a.Notes(out.Beside)
	a.Notes(out.Silent)
	a.Unheard(out.Unheard)
	view.LoosePorts(out.Servers, func(line string) { a.Say("%s", line) })
	view.AwaitedContainers(out.Servers, func(line string) { a.Say("%s", line) })
	for _, s := range out.Stayed {
		a.Say("%s: %s; what is on it stays until flock apply finds it again", s.Server, s.Err)
	}
	if unfinished != nil {
		return unfinished
	}
	if len(away) > 0 {
		a.Say("%s: away; flock apply cleans it when it answers again", view.Listed(away))
	}
	if len(c.About) > 0 {
		a.Notes(out.Notes)
	}
	if c.Said != nil {
		if text := c.Said(out); text != "" {
			for line := range strings.SplitSeq(text, "\n") {
				a.Say("%s", line)
			}
		}
	}
	return nil
}

func (a *App) confirmIf(p *Progress, question string) error {
	if question == "" {
		return nil
	}
	return a.Confirm(p, question)
}

// Failed lists the servers that refused, if the error alone does not.
func (a *App) Failed(out *change.Outcome, err error) error {
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

// awayOf are those of names that were not reached.
func awayOf(out *change.Outcome, names []string) []string {
	var away []string
	for _, s := range out.Servers {
		if s.State == change.Unreachable && slices.Contains(names, s.Name) {
			away = append(away, s.Name)
		}
	}
	return away
}

// incomplete is the error about servers that did not converge, those aside that may be away;
// nil if all others did.
func incomplete(out *change.Outcome, networks, away []string) error {
	var names []string
	for _, s := range out.Servers {
		if slices.Contains(away, s.Name) {
			continue
		}
		if s.Err != nil || slices.Contains(out.Pending, s.Name) {
			names = append(names, s.Name)
		}
	}
	for _, name := range out.Pending {
		member := func(network string) bool { return IsMember(out.Cluster, network, name) }
		if slices.ContainsFunc(networks, member) && !slices.Contains(names, name) && !slices.Contains(away, name) {
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
	return Partial(hint.Errorf(servers(names), "flock apply", "%s %s pending", view.Listed(names), verb))
}

func servers(names []string) string {
	if len(names) == 1 {
		return "server " + names[0]
	}
	return "servers " + view.Listed(names)
}
