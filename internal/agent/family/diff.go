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
	var c Pair
	wants, haves := texts(want), texts(have)
	wanted, seen := make(map[K]string, len(wants)), make(map[K]item[T], len(haves))
	for _, w := range wants {
		wanted[key(w.v)] = w.text
	}
	for _, h := range haves {
		k := key(h.v)
		if _, twice := seen[k]; !twice || h.text == wanted[k] {
			seen[k] = h
		}
	}
	for _, h := range haves {
		k := key(h.v)
		if _, ok := wanted[k]; !ok || seen[k].text != h.text {
			c.Gone = append(c.Gone, Op{Step: spec.Step{Action: spec.Remove, Object: object(h.v)}, Have: h.v})
		}
	}
	for _, w := range wants {
		h, ok := seen[key(w.v)]
		switch {
		case !ok:
			name := object(w.v)
			step := spec.Step{Action: spec.Add, Object: name, Detail: Attributes(w.text, name)}
			c.Come = append(c.Come, Op{Step: step, Want: w.v})
		case h.text != w.text:
			step := spec.Step{Action: spec.Change, Object: object(w.v), Detail: spec.Difference(h.text, w.text)}
			c.Come = append(c.Come, Op{Step: step, Want: w.v, Have: h.v})
		}
	}
	return c
}

// item is an object with its text, which is what order and equality go by.
type item[T any] struct {
	v    T
	text string
}

func texts[T fmt.Stringer](list []T) []item[T] {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	out := make([]item[T], 0, len(list))
	for _, i := range byText(words) {
		if n := len(out); n == 0 || out[n-1].text != words[i] {
			out = append(out, item[T]{list[i], words[i]})
		}
	}
	return out
}

// byText is the order of words, of equal ones the first first. Inlined, it would be in
// the program once per type.
//
//go:noinline
func byText(words []string) []int {
	return Numbered(len(words), func(a, b int) int { return strings.Compare(words[a], words[b]) })
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
