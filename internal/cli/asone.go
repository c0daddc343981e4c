package cli

import (
	"errors"
	"slices"

	"github.com/flocknet/flock/internal/change"
)

// asOne runs a command that is several changes: with -o json it prints one document
// all the same.
func (a *app) asOne(run func() error) error {
	if !a.json() {
		return run()
	}
	doc := &outcomeDoc{}
	a.several = doc
	err := run()
	a.several = nil
	if doc.Servers == nil { // refused before anything was contacted
		return err
	}
	return errors.Join(a.printJSON(doc), err)
}

// printOutcome prints what came of a change as JSON, or leaves it to asOne.
func (a *app) printOutcome(out *change.Outcome) error {
	doc := outcomeOf(out)
	if a.several == nil {
		return a.printJSON(doc)
	}
	a.several.add(doc)
	return nil
}

// add makes what came of the next change part of d: the steps of every server one
// after the other, everything else as it is by now.
func (d *outcomeDoc) add(next outcomeDoc) {
	d.Generation, d.Saved, d.Pending = next.Generation, d.Saved || next.Saved, next.Pending
	for _, note := range next.Notes {
		if !slices.Contains(d.Notes, note) {
			d.Notes = append(d.Notes, note)
		}
	}
	if d.Servers == nil {
		d.Servers = []serverDoc{}
	}
	for _, s := range next.Servers {
		at := slices.IndexFunc(d.Servers, func(have serverDoc) bool { return have.Name == s.Name })
		if at < 0 {
			d.Servers = append(d.Servers, s)
			continue
		}
		s.Steps = slices.Concat(d.Servers[at].Steps, s.Steps)
		if s.State == change.Unchanged {
			s.State = d.Servers[at].State
		}
		d.Servers[at] = s
	}
}
