package state

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/pelletier/go-toml/v2/unstable"
)

// decode fills out, a pointer to a struct with toml tags, from a TOML document. Keys are
// case sensitive; unknown keys and keys set twice are errors.
//
// The parser is go-toml's, the decoder is ours: go-toml compares each key with all keys
// before it (v2.4.3, pull request 1100 there), which took 7.5 s for a cluster of 10,000
// servers, and its errors name Go types.
func decode(data []byte, out any) error {
	d := decoder{fields: map[reflect.Type]map[string]int{}}
	d.parser.Reset(data)
	root := &table{v: reflect.ValueOf(out).Elem()}
	current := root
	for d.parser.NextExpression() {
		node := d.parser.Expression()
		var err error
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			current, err = d.header(root, node)
		case unstable.KeyValue:
			err = d.keyValue(current, node)
		}
		if err != nil {
			return err
		}
	}
	var syntax *unstable.ParserError
	if err := d.parser.Error(); errors.As(err, &syntax) {
		return &fault{offset: int(d.parser.Range(syntax.Highlight).Offset), err: errors.New(syntax.Message)}
	} else if err != nil {
		return err
	}
	return nil
}

// fault is what is wrong with a document, and where.
type fault struct {
	offset int
	key    []string
	err    error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

type decoder struct {
	parser unstable.Parser
	fields map[reflect.Type]map[string]int // index of the field, by TOML key
}

// origin says how a table was begun, which decides what may be added to it (TOML v1.0.0,
// "Table" and "Inline Table").
type origin int

const (
	implied  origin = iota // by a longer header: its own header may follow
	headed                 // by its header
	dotted                 // by a dotted key: only other dotted keys add values
	inline                 // closed at its brace
	elements               // an array of tables
)

// table is a table of the document and the value it fills.
type table struct {
	v      reflect.Value // struct or map; of elements, the slice
	origin origin
	parent *table
	name   string
	tables map[string]*table
	set    uint64 // struct fields set to what is no table, by index
	last   *table // of elements: the one that is being filled
}

func (t *table) key() []string {
	if t.parent == nil {
		return nil
	}
	return append(t.parent.key(), t.name)
}

func at(t *table, part *unstable.Node, err error) error {
	return &fault{offset: int(part.Raw.Offset), key: append(t.key(), string(part.Data)), err: err}
}

var errTwice = errors.New("set twice")

// header returns the table of a [header] or [[header]], and makes it if needed.
func (d *decoder) header(root *table, node *unstable.Node) (*table, error) {
	t := root
	for it := node.Key(); it.Next(); {
		part := it.Node()
		sub := t.tables[string(part.Data)]
		var err error
		switch {
		case it.IsLast():
			return d.lastOfHeader(t, part, sub, node.Kind == unstable.ArrayTable)
		case sub == nil:
			sub, err = d.sub(t, part, implied)
		case sub.origin == inline:
			err = at(t, part, errTwice)
		case sub.origin == elements:
			sub = sub.last
		}
		if err != nil {
			return nil, err
		}
		t = sub
	}
	return t, nil
}

func (d *decoder) lastOfHeader(t *table, part *unstable.Node, sub *table, array bool) (*table, error) {
	switch {
	case array && sub == nil:
		sub, err := d.sub(t, part, elements)
		if err != nil {
			return nil, err
		}
		return sub.element(), nil
	case array && sub.origin == elements:
		return sub.element(), nil
	case sub == nil:
		return d.sub(t, part, headed)
	case !array && sub.origin == implied:
		sub.origin = headed
		return sub, nil
	}
	return nil, at(t, part, errTwice)
}

// element adds one to an array of tables.
func (t *table) element() *table {
	t.v.Set(reflect.Append(t.v, reflect.Zero(t.v.Type().Elem())))
	t.last = &table{v: t.v.Index(t.v.Len() - 1), origin: headed, parent: t.parent, name: t.name}
	return t.last
}

// sub makes the table in t that part names, and the value that it fills.
func (d *decoder) sub(t *table, part *unstable.Node, from origin) (*table, error) {
	name := string(part.Data)
	var v reflect.Value
	if t.v.Kind() == reflect.Map {
		v = reflect.New(t.v.Type().Elem().Elem())
		t.v.SetMapIndex(reflect.ValueOf(name), v)
		v = v.Elem()
	} else {
		field, _, err := d.field(t, part)
		if err != nil {
			return nil, err
		}
		v = field
		switch {
		case v.Kind() == reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		case v.Kind() == reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
		}
	}
	isTable := v.Kind() == reflect.Map || v.Kind() == reflect.Struct && wordOf(v.Type()) == aTable
	isTables := v.Kind() == reflect.Slice && wordOf(v.Type().Elem()) == aTable
	switch {
	case from == elements && !isTables:
		return nil, at(t, part, misfit("an array of tables", wordOf(v.Type())))
	case from != elements && !isTable:
		return nil, at(t, part, misfit(aTable, wordOf(v.Type())))
	}
	if t.tables == nil {
		t.tables = map[string]*table{}
	}
	s := &table{v: v, origin: from, parent: t, name: name}
	t.tables[name] = s
	return s, nil
}

// field is the field of t's struct that part names; it was not set before.
func (d *decoder) field(t *table, part *unstable.Node) (reflect.Value, int, error) {
	known := d.fieldsOf(t.v.Type())
	i, ok := known[string(part.Data)]
	if !ok {
		return reflect.Value{}, 0, at(t, part, hint.Errorf("", "one of: "+names(known), "unknown key"))
	}
	if t.set&(1<<i) != 0 {
		return reflect.Value{}, 0, at(t, part, errTwice)
	}
	return t.v.Field(i), i, nil
}

func (d *decoder) fieldsOf(typ reflect.Type) map[string]int {
	if known := d.fields[typ]; known != nil {
		return known
	}
	known := make(map[string]int, typ.NumField())
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("toml"), ",")
		known[key] = i
	}
	d.fields[typ] = known
	return known
}

func names(known map[string]int) string {
	var out []string
	for name := range known {
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// keyValue sets the key of node in t to its value.
func (d *decoder) keyValue(t *table, node *unstable.Node) error {
	it := node.Key()
	for it.Next() && !it.IsLast() {
		part := it.Node()
		sub := t.tables[string(part.Data)]
		if sub == nil {
			var err error
			if sub, err = d.sub(t, part, dotted); err != nil {
				return err
			}
		}
		if sub.origin != dotted {
			return at(t, part, errTwice)
		}
		t = sub
	}
	part, value := it.Node(), node.Value()
	if t.tables[string(part.Data)] != nil {
		return at(t, part, errTwice)
	}
	if value.Kind == unstable.InlineTable {
		sub, err := d.sub(t, part, inline)
		if err != nil {
			return err
		}
		return d.fill(sub, value)
	}
	if t.v.Kind() == reflect.Map {
		return at(t, part, misfit(wordOfKind(value.Kind), aTable))
	}
	field, i, err := d.field(t, part)
	if err != nil {
		return err
	}
	t.set |= 1 << i
	if err := d.value(t, part, field, value); err != nil {
		return err
	}
	if field.IsZero() && t.v.Type().Field(i).Tag.Get("zero") == "no" {
		return at(t, part, hint.Errorf("", "leave "+string(part.Data)+" away for its default", "0 is out of range"))
	}
	return nil
}

// fill sets the keys of an inline table in t.
func (d *decoder) fill(t *table, node *unstable.Node) error {
	for it := node.Children(); it.Next(); {
		if err := d.keyValue(t, it.Node()); err != nil {
			return err
		}
	}
	return nil
}

// value sets v, the field of t that part names, or one element of it.
func (d *decoder) value(t *table, part *unstable.Node, v reflect.Value, node *unstable.Node) error {
	switch {
	case v.Kind() == reflect.Slice && node.Kind == unstable.Array:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for it := node.Children(); it.Next(); {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			if err := d.value(t, part, v.Index(v.Len()-1), it.Node()); err != nil {
				return err
			}
		}
		return nil
	case node.Kind == unstable.InlineTable && wordOf(v.Type()) == aTable:
		return d.fill(&table{v: v, origin: inline, parent: t, name: string(part.Data)}, node)
	}
	if err := setScalar(v, node); err != nil {
		where := fault{offset: int(part.Raw.Offset), key: append(t.key(), string(part.Data)), err: err}
		if node.Raw.Length > 0 { // arrays have none
			where.offset = int(node.Raw.Offset)
		}
		return &where
	}
	return nil
}
