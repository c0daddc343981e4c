package family

import (
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/spec"
)

// lamp is an object whose text is its name and how bright it is.
type lamp struct{ name, bright string }

func (l lamp) String() string { return strings.TrimSpace("lamp " + l.name + " " + l.bright) }

func compareLamps(want, have []lamp) Pair {
	return Compare(want, have, func(l lamp) string { return l.name }, func(l lamp) string { return "lamp " + l.name })
}

func said(ops []Op) []string {
	var out []string
	for _, s := range Steps(ops) {
		out = append(out, s.String())
	}
	return out
}

// TestCompare: what is new comes, what is not wanted goes, what differs changes in place;
// of several under one key that stays which is wanted. The sequence is that of the texts.
func TestCompare(t *testing.T) {
	for name, c := range map[string]struct{ want, have, come, gone []string }{
		"nothing":         {nil, nil, nil, nil},
		"the same":        {[]string{"a bright 1"}, []string{"a bright 1"}, nil, nil},
		"new":             {[]string{"b bright 1", "a"}, nil, []string{"+ lamp a", "+ lamp b: bright 1"}, nil},
		"gone":            {nil, []string{"b bright 1", "a"}, nil, []string{"- lamp a", "- lamp b"}},
		"another":         {[]string{"a bright 1"}, []string{"a bright 2"}, []string{"~ lamp a: bright 2 -> 1"}, nil},
		"twice wanted":    {[]string{"a", "a"}, nil, []string{"+ lamp a"}, nil},
		"twice there":     {[]string{"a bright 1"}, []string{"a bright 0", "a bright 1"}, nil, []string{"- lamp a"}},
		"twice and wrong": {[]string{"a bright 9"}, []string{"a bright 0", "a bright 1"}, []string{"~ lamp a: bright 0 -> 9"}, []string{"- lamp a"}},
	} {
		t.Run(name, func(t *testing.T) {
			lamps := func(texts []string) (out []lamp) {
				for _, text := range texts {
					name, bright, _ := strings.Cut(text, " ")
					out = append(out, lamp{name, bright})
				}
				return out
			}
			want, have := lamps(c.want), lamps(c.have)
			p := compareLamps(want, have)
			if come, gone := said(p.Come), said(p.Gone); !slices.Equal(come, c.come) || !slices.Equal(gone, c.gone) {
				t.Errorf("want %q and %q, have %q and %q", c.come, c.gone, come, gone)
			}
			slices.Reverse(want)
			slices.Reverse(have)
			q := compareLamps(want, have)
			if !slices.Equal(said(q.Come), said(p.Come)) || !slices.Equal(said(q.Gone), said(p.Gone)) {
				t.Errorf("the sequence of the arguments matters: %q, %q", said(q.Come), said(q.Gone))
			}
		})
	}
}

// TestEqualOnesStayInSequence: whoever sorts by a part of an object relies on it.
func TestEqualOnesStayInSequence(t *testing.T) {
	list := []string{"b1", "a1", "b2", "a2", "b3"}
	have := InSequence(list, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	if want := []string{"a1", "a2", "b1", "b2", "b3"}; !slices.Equal(have, want) {
		t.Errorf("want %q, have %q", want, have)
	}
	if list[0] != "b1" {
		t.Error("the argument was changed")
	}
}

// TestTurns: families go in the reverse of the sequence in which they come.
func TestTurns(t *testing.T) {
	for turn := range turns {
		if have, want := turn.backward(), turn != Coming && turn != Serving; have != want {
			t.Errorf("turn %d: want %v, have %v", turn, want, have)
		}
	}
	d := &Difference{Want: &spec.Host{}, Have: &spec.Host{}}
	d.Put(compareLamps([]lamp{{name: "a"}}, []lamp{{name: "b"}}), Going, Serving)
	if said(d.Found[Going])[0] != "- lamp b" || said(d.Found[Serving])[0] != "+ lamp a" {
		t.Errorf("found %v", d.Found)
	}
}
