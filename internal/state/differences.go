package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/spec"
	"github.com/pelletier/go-toml/v2"
)

// Differences are the steps from one desired state to another, a server or network each, in
// the order servers, networks, by name. What servers reported is left out, and what is
// allocated where one of both says nothing of it, as files written by hand do.
func Differences(from, to *Cluster) ([]spec.Step, error) {
	was, err := tables(from)
	if err != nil {
		return nil, err
	}
	is, err := tables(to)
	if err != nil {
		return nil, err
	}
	var out []spec.Step
	for _, kind := range []string{"server", "network"} {
		had, has := asTable(was[kind]), asTable(is[kind])
		for _, name := range union(had, has) {
			object := kind + " " + name
			switch {
			case has[name] == nil:
				out = append(out, spec.Step{Action: spec.Remove, Object: object})
			case had[name] == nil:
				out = append(out, spec.Step{Action: spec.Add, Object: object, Detail: described(asTable(has[name]))})
			default:
				if text := changed("", asTable(had[name]), asTable(has[name])); len(text) > 0 {
					out = append(out, spec.Step{Action: spec.Change, Object: object, Detail: strings.Join(text, "; ")})
				}
			}
		}
	}
	return out, nil
}

// tables are what a generation of c stands for, as TOML has it.
func tables(c *Cluster) (map[string]any, error) {
	data, err := c.desired()
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := toml.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("compare clusters: %w", err)
	}
	return out, nil
}

func asTable(v any) map[string]any {
	t, _ := v.(map[string]any)
	return t
}

func union(a, b map[string]any) []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]any{a, b} {
			for key := range m {
				if !yield(key) {
					return
				}
			}
		}
	}))
}

// allocated is the key of what flock dealt out.
const allocated = "allocated"

// changed says how the values of two tables differ, a key each. Before is what stands before
// a key.
func changed(before string, had, has map[string]any) []string {
	var out []string
	for _, key := range union(had, has) {
		was, is := had[key], has[key]
		name := before + key
		if key == allocated {
			was, is := asTable(was), asTable(is)
			for _, server := range union(was, is) {
				if had, has := asTable(was[server]), asTable(is[server]); had != nil && has != nil {
					out = append(out, changed(name+"."+server+".", had, has)...)
				}
			}
			continue
		}
		x, y := words(was), words(is)
		switch {
		case slices.Equal(x, y):
		case isList(was) || isList(is):
			out = append(out, name+" "+moved(x, y))
		default:
			out = append(out, fmt.Sprintf("%s %s -> %s", name, said(x), said(y)))
		}
	}
	return out
}

// moved says what came into a list and what left it.
func moved(was, is []string) string {
	var out []string
	for _, v := range is {
		if !slices.Contains(was, v) {
			out = append(out, spec.Add+v)
		}
	}
	for _, v := range was {
		if !slices.Contains(is, v) {
			out = append(out, spec.Remove+v)
		}
	}
	if len(out) == 0 {
		return "in another order: " + strings.Join(is, " ")
	}
	return strings.Join(out, " ")
}

// described are the values of a table, but for what was allocated.
func described(t map[string]any) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if key != allocated {
			out = append(out, key+" "+said(words(t[key])))
		}
	}
	return strings.Join(out, "; ")
}

func isList(v any) bool {
	_, list := v.([]any)
	return list
}

func said(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " ")
}

// words are a value, or the values of a list, as text.
func words(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, words(e)...)
		}
		return out
	case map[string]any:
		var out []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, key+" "+said(words(v[key])))
		}
		return []string{"(" + strings.Join(out, ", ") + ")"}
	}
	return []string{fmt.Sprint(v)}
}
