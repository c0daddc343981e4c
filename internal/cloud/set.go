package cloud

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// Set is all clouds of a cluster during one change.
type Set struct {
	places   []*Place
	Strict   bool                    // a cloud that must get something is looked at before anything is done
	Touching func()                  // called before a cloud is told to change something
	Say      func(name, line string) // progress; concurrently
}

// NewSet is what a cluster wants of clouds, and has in them.
func NewSet(want []ground.Cloud, had []state.Cloud) *Set { return &Set{places: Places(want, had)} }

// Sums are what the clouds should have, by their keys.
func Sums(want []ground.Cloud, had []state.Cloud) map[string]string {
	out := map[string]string{}
	for _, p := range Places(want, had) {
		out[p.Key()] = p.Sum()
	}
	return out
}

// each calls do for all of places at once.
func each(places []*Place, do func(*Place)) {
	var all sync.WaitGroup
	for _, p := range places {
		all.Go(func() { do(p) })
	}
	all.Wait()
}

// Plan asks those clouds that concerned says.
func (s *Set) Plan(ctx context.Context, l Login, concerned func(*Place) bool) error {
	each(slices.DeleteFunc(slices.Clone(s.places), func(p *Place) bool { return !concerned(p) }), func(p *Place) { p.plan(ctx, l, s.Say) })
	return ctx.Err()
}

// Steps are what is to be done, a line each.
func (s *Set) Steps() string {
	var b strings.Builder
	for _, p := range s.list() {
		b.WriteString(p.steps())
	}
	return b.String()
}

// Same refuses other steps than those that somebody agreed to.
func (s *Set) Same(approved, next string) error {
	if s.Steps() == approved {
		return nil
	}
	return hint.Errorf("", next, "the cloud's route tables changed while you were asked, nothing was changed")
}

// Make does what is to be there before servers use it.
func (s *Set) Make(ctx context.Context) { s.change(ctx, (*Place).make) }

// Clear takes away what no server uses any more, and looks whether all is as it should be. What
// those of formerly need stays whose servers failed, and may be as they were.
func (s *Set) Clear(ctx context.Context, formerly []ground.Cloud, failed func(server string) bool) {
	var spared []ground.CloudMember
	for _, c := range formerly {
		for _, n := range c.Networks {
			spared = append(spared, slices.DeleteFunc(slices.Clone(n.Members), func(m ground.CloudMember) bool { return !failed(m.Server) })...)
		}
	}
	s.change(ctx, func(p *Place, ctx context.Context) { p.clear(ctx, spared) })
}

func (s *Set) change(ctx context.Context, part func(*Place, context.Context)) {
	todo := slices.DeleteFunc(slices.Clone(s.list()), (*Place).idle)
	if len(todo) > 0 {
		s.Touching()
	}
	each(todo, func(p *Place) { part(p, ctx) })
}

// Before notes what clouds may have of ours from now on, and After what they have; both say
// whether that is news.
func (s *Set) Before(note *[]state.Cloud) bool { return s.note(note, (*Place).before) }

// After is as Before says.
func (s *Set) After(note *[]state.Cloud) bool { return s.note(note, (*Place).noteAfter) }

func (s *Set) note(to *[]state.Cloud, of func(*Place) *state.Cloud) bool {
	var now []state.Cloud
	for _, p := range s.list() {
		if note := of(p); note != nil {
			now = append(now, *note)
		}
	}
	news := !reflect.DeepEqual(*to, now)
	*to = now
	return news
}

// Refused are the reasons why nothing may be changed.
func (s *Set) Refused() (out []error) {
	for _, p := range s.list() {
		if s.Strict && p.asked && p.err != nil && !p.looked && p.needs() {
			out = append(out, p.err)
		}
		out = append(out, p.diff.problems...)
	}
	return out
}

// Notes are what the steps do not show.
func (s *Set) Notes() (out []ground.Note) {
	for _, p := range s.list() {
		out = append(out, p.diff.notes...)
	}
	return out
}

// Results are what came of it, by table.
func (s *Set) Results() (out []Result) {
	for _, p := range s.list() {
		out = append(out, p.results()...)
	}
	return out
}

// Lacking are the servers, with the reason, that need what could not be made: their packets would
// be dropped.
func (s *Set) Lacking() map[string]error {
	out := map[string]error{}
	for _, p := range s.list() {
		if !p.asked || p.err == nil || !p.needs() {
			continue
		}
		for _, n := range p.want.Networks {
			for _, m := range n.Members {
				out[m.Server] = hint.Errorf("server "+m.Server, "flock apply", "%s was not changed: %s has not what it needs", m.Server, p.names()[0])
			}
		}
	}
	return out
}

// list are the clouds; none of a set that is nil.
func (s *Set) list() []*Place {
	if s == nil {
		return nil
	}
	return s.places
}
