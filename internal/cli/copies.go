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
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// gathering is what servers were found to have of the cluster file.
type gathering struct {
	a      *app
	store  *state.Store
	seen   []spec.Copied   // of all clusters
	held   []*state.Held   // of this one
	absent []change.Server // that did not answer, or have a copy that is none
	steps  []spec.Step     // what would change in the file

	ask    func(brings string) error // whether what a copy uses of the workstation may be used
	agreed []string                  // what was asked
}

// uses asks for what now, which some server sent, uses of the workstation and was did not.
func (g *gathering) uses(was, now *state.Cluster) error {
	brings := slices.DeleteFunc(edit.Bringing(was, now), func(text string) bool { return slices.Contains(g.agreed, text) })
	if len(brings) == 0 {
		return nil
	}
	g.agreed = append(g.agreed, brings...)
	return g.ask(strings.Join(brings, ", "))
}

// noteOthers names servers that have a generation of another copy of the file.
func (g *gathering) noteOthers() {
	for _, h := range g.held {
		if h.Made != "" && !g.store.Knows(h.Generation, h.Made) {
			g.a.Say("note: %s holds generation %d of another copy of the cluster file%s; 'flock pull %s' takes that one", h.Server, h.Generation, spec.MadeBy(h.Made), h.Server)
		}
	}
}

// copyDoc is what import and pull came to.
type copyDoc struct {
	Cluster     string         `json:"cluster"`
	Generation  uint64         `json:"generation"`
	Made        string         `json:"made,omitempty"`    // when, and by which command
	From        string         `json:"from,omitempty"`    // the server whose copy was taken
	Taken       bool           `json:"taken"`             // the file was written
	Differences []view.StepDoc `json:"differences"`       // from the former file to this one
	Absent      []string       `json:"absent,omitempty"`  // servers that did not answer
	Servers     []heldDoc      `json:"servers,omitempty"` // what the others hold
}

type heldDoc struct {
	Server     string `json:"server"`
	Generation uint64 `json:"generation"`     // that it confirmed last
	Made       string `json:"made,omitempty"` // when, and by which command
}

// printSteps prints steps, a line each.
func (a *app) printSteps(steps []spec.Step) error {
	return a.Print(a.Out, "%s\n", screen.Ink(strings.Join(a.StepLines(steps), "\n")))
}

// inquire asks servers of c for what they have.
func (g *gathering) inquire(ctx context.Context, e command.Engine, c *state.Cluster, names []string) error {
	found, absent, err := e.Copies(ctx, c, names)
	if err != nil {
		return err
	}
	g.absent = append(g.absent, absent...)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		g.seen = append(g.seen, found[name]...)
		h, err := g.store.Holds(name, found[name], c.Name)
		switch {
		case err != nil:
			g.absent = append(g.absent, change.Server{Name: name, State: change.Failed, Err: err})
		case h == nil:
		case c.ID != "" && h.Store != "" && h.Store != c.ID:
			err := hint.Errorf("server "+name, "flock purge "+name+", to take the server over", "%s belongs to another cluster file that is named %s too", name, c.Name)
			g.absent = append(g.absent, change.Server{Name: name, State: change.Refused, Err: err})
		default:
			g.held = append(g.held, h)
		}
	}
	return nil
}

// whole asks all servers of c, and those that a newer copy has besides, and returns the newest
// copy.
func (g *gathering) whole(ctx context.Context, e command.Engine, c *state.Cluster) (*state.Held, error) {
	asked := map[string]bool{}
	for {
		var names []string
		for _, name := range c.ServerNames() {
			if !asked[name] {
				names = append(names, name)
			}
			asked[name] = true
		}
		if len(names) == 0 {
			return state.Newest(g.held), nil
		}
		if err := g.inquire(ctx, e, c, names); err != nil {
			return nil, err
		}
		if best := state.Newest(g.held); best != nil && best.File.Generation > c.Generation {
			if err := g.uses(c, best.File); err != nil {
				return nil, err
			}
			c = best.File
		}
	}
}

// take makes the file that of best, and tells what came of it. Was is what it takes the place of.
func (g *gathering) take(ctx context.Context, best *state.Held, was *state.Cluster) error {
	next, ahead := best.Restored(g.held, time.Now().UTC().Truncate(time.Second))
	// A server may send anything; what the next command would refuse is not taken.
	if _, err := edit.Do(next.Clone(), func(*state.Cluster) error { return nil }); err != nil {
		return hint.With(fmt.Errorf("take the cluster file of %s: %w", best.Server, err), "server "+best.Server, "flock pull with the name of another server")
	}
	if !g.a.DryRun() {
		var err error
		if next, err = g.write(ctx, next, was); err != nil {
			return err
		}
		g.noteOthers()
	}
	if g.a.JSON() {
		if err := g.a.PrintJSON(g.doc(next, best.Server, !g.a.DryRun())); err != nil {
			return err
		}
	}
	if ahead > 0 {
		g.a.Say("note: generation %d was confirmed, and its file was not found: what was changed after generation %d is not in this one, which is %d now; 'flock plan' shows what it would undo", ahead, best.File.Generation, next.Generation)
	}
	word, here := "is", ""
	switch {
	case g.a.DryRun():
		word = "would be"
	case next.Generation != best.File.Generation:
		here = fmt.Sprintf(", here generation %d", next.Generation)
	}
	g.a.Say("the cluster file %s generation %d of %s%s%s: %s, %s", word, best.File.Generation, best.Server, here, spec.MadeBy(best.File.Made()),
		view.Plural(len(next.Servers), "server"), view.Plural(len(next.Networks), "network"))
	return g.ended()
}

// write saves next, if the file is still was, and returns what it is now.
func (g *gathering) write(ctx context.Context, next, was *state.Cluster) (*state.Cluster, error) {
	l, err := g.store.Lock(ctx, "")
	if err != nil {
		return nil, err
	}
	if l.Cluster().Generation != was.Generation {
		err = hint.Errorf(g.store.Path(), "flock pull", "the cluster file was changed meanwhile")
	} else {
		err = l.Take(next)
	}
	saved := l.Cluster()
	return saved, cmp.Or(err, l.Unlock())
}

func (g *gathering) doc(c *state.Cluster, from string, taken bool) copyDoc {
	doc := copyDoc{Cluster: g.a.Cluster(), Generation: c.Generation, Made: c.Made(), From: from, Taken: taken, Differences: []view.StepDoc{}}
	for _, s := range g.steps {
		doc.Differences = append(doc.Differences, view.StepDoc(s))
	}
	for _, s := range g.absent {
		doc.Absent = append(doc.Absent, s.Name)
	}
	for _, h := range g.held {
		doc.Servers = append(doc.Servers, heldDoc{h.Server, h.Generation, h.Made})
	}
	return doc
}

// ended tells which servers did not answer.
func (g *gathering) ended() error {
	for _, s := range g.absent {
		g.a.Report(s.Err)
	}
	if len(g.absent) > 0 {
		return command.Exit(command.ExitPartial)
	}
	return nil
}
