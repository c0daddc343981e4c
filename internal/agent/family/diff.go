package family

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
)

// Op is one change: the step that is printed and the objects it is about. Want is
// nil where the object goes, Have where it is new; both are values of spec.
type Op struct {
	Step       spec.Step
	Want, Have any

	Family int // whose it is, its place in the table
}

// Steps returns the printed side of ops.
func Steps(ops []Op) []spec.Step {
	var out []spec.Step
	for _, op := range ops {
		out = append(out, op.Step)
	}
	return out
}

// Turn is a part of a change, in the order in which they happen.
type Turn int

const (
	Going    Turn = iota // services, routes and WireGuard's peers go, those first that come last
	Clearing             // what else stands on links goes, then links, ports before their bridges
	Coming               // links come, bridges before their ports, what stands on them, packet filters, routes
	Lapsing              // neighbours and forwarding entries go, which a route that turned has led to until now
	Serving              // global settings and services come
	Leaving              // settings are restored
	turns
)

// backward says that families have their turn in the reverse of the order in which they come.
func (t Turn) backward() bool { return t != Coming && t != Serving }

// Difference is what families compare, and where each puts what it found.
type Difference struct {
	Want, Have *spec.Host      // have is without what goes with links that the families before have found to vanish
	Vanish     map[string]bool // links, by name, that go for good or are made anew

	Found [turns][]Op // by the family that compares
}

// Put puts what compare found, where objects go in one turn and come in another. Inlined,
// it would be in the program once per family.
//
//go:noinline
func (d *Difference) Put(p Pair, gone, come Turn) {
	d.Found[gone] = append(d.Found[gone], p.Gone...)
	d.Found[come] = append(d.Found[come], p.Come...)
}

// Pair is what goes and what comes of one sort of object.
type Pair struct {
	Gone []Op // removals
	Come []Op // additions, and changes in place
}

// Compare matches want and have by key. Objects with the same key and another
// text change in place; where have holds a key twice, all but one go.
func Compare[K comparable, T fmt.Stringer](want, have []T, key func(T) K, object func(T) string) Pair {
	return compare(sideOf(want, key, object), sideOf(have, key, object))
}

// side is a list of objects, whatever their type is: the compiler makes what takes the
// type once per type, under a name that has all of its fields, and comparing takes 4 KB of
// the program.
type side struct {
	texts []string // what order and equality go by
	keys  []any
	at    func(i int) (object string, value any) // its name in steps, and itself
}

func sideOf[K comparable, T fmt.Stringer](list []T, key func(T) K, object func(T) string) *side {
	s := &side{
		texts: make([]string, len(list)), keys: make([]any, len(list)),
		at: func(i int) (string, any) { return object(list[i]), list[i] },
	}
	for i, v := range list {
		s.texts[i], s.keys[i] = v.String(), key(v)
	}
	return s
}

// unequal are the numbers of s's objects in order of text, of those with one text the first.
func (s *side) unequal() []int {
	order := Numbered(len(s.texts), func(a, b int) int { return strings.Compare(s.texts[a], s.texts[b]) })
	return slices.CompactFunc(order, func(a, b int) bool { return s.texts[a] == s.texts[b] })
}

func compare(want, have *side) Pair {
	var c Pair
	if slices.Equal(want.texts, have.texts) { // as nearly always
		return c
	}
	wants, haves := want.unequal(), have.unequal()
	wanted, seen := make(map[any]string, len(wants)), make(map[any]int, len(haves))
	for _, w := range wants {
		wanted[want.keys[w]] = want.texts[w]
	}
	for _, h := range haves {
		k := have.keys[h]
		if _, twice := seen[k]; !twice || have.texts[h] == wanted[k] {
			seen[k] = h
		}
	}
	for _, h := range haves {
		k := have.keys[h]
		if _, ok := wanted[k]; !ok || have.texts[seen[k]] != have.texts[h] {
			name, value := have.at(h)
			c.Gone = append(c.Gone, Op{Step: spec.Step{Action: spec.Remove, Object: name}, Have: value})
		}
	}
	for _, w := range wants {
		h, ok := seen[want.keys[w]]
		switch text := want.texts[w]; {
		case !ok:
			name, value := want.at(w)
			step := spec.Step{Action: spec.Add, Object: name, Detail: Attributes(text, name)}
			c.Come = append(c.Come, Op{Step: step, Want: value})
		case have.texts[h] != text:
			name, value := want.at(w)
			_, was := have.at(h)
			step := spec.Step{Action: spec.Change, Object: name, Detail: spec.Difference(have.texts[h], text)}
			c.Come = append(c.Come, Op{Step: step, Want: value, Have: was})
		}
	}
	return c
}

// InSequence is list sorted by compare, of equal ones the first first.
func InSequence[T any](list []T, compare func(a, b T) int) []T {
	out := make([]T, 0, len(list))
	for _, i := range Numbered(len(list), func(a, b int) int { return compare(list[a], list[b]) }) {
		out = append(out, list[i])
	}
	return out
}

// Numbered is the order of n things, of equal ones the first first. It sorts their numbers,
// whatever they are: the compiler makes sorting once per type, and it takes 7 KB of the
// program.
func Numbered(n int, compare func(a, b int) int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := compare(a, b); c != 0 {
			return c
		}
		return a - b
	})
	return order
}

// Attributes is what text says beyond naming the object.
func Attributes(text, object string) string {
	if rest, ok := strings.CutPrefix(text, object); ok {
		return strings.TrimSpace(rest)
	}
	_, rest, _ := strings.Cut(text, " ")
	return rest
}
