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

// Clear takes away what no server uses any more, and looks whether all is as it should be.
func (s *Set) Clear(ctx context.Context) { s.change(ctx, (*Place).clear) }

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

// list are the clouds; none of a set that is nil.
func (s *Set) list() []*Place {
	if s == nil {
		return nil
	}
	return s.places
}
