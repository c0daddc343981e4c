// Package schema is for the tests of what -o json prints: it makes a JSON Schema (2020-12) of Go
// types, with their comments, and holds documents against those in docs/schema. It refuses what
// it has no words for, as a type that writes itself as JSON and does not say how, and knows no
// document: which types a command prints is the command line's.
package schema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Fielder is a type that writes itself as an object, whose fields are not the struct's.
type Fielder interface {
	// Fields are all that can be in the object: their names in order, a value of each one's type,
	// what there is to say of them beside the comments of the struct's fields, and which are there
	// also when they are empty.
	Fields() (names []string, values map[string]any, about map[string]string, always []string)
}

// Of is the schema of what a command prints: one of docs, with the format and perhaps an error
// (problem), which are in a file of their own. top is the directory of go.mod.
func Of(top, title string, format int, docs ...any) ([]byte, error) {
	m := &maker{comments: comments{top: top}, defs: map[string]object{}, of: map[string]reflect.Type{}}
	var forms []any
	for _, doc := range docs {
		t := reflect.TypeOf(doc)
		o, err := m.object(deref(t))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", title, err)
		}
		forms = append(forms, o.framed(format))
	}
	root := object{{"$schema", dialect}, {"title", title}, {"anyOf", append(forms, object{{"$ref", "error.json"}})}}
	return render(m.withDefs(root))
}

// OfError is the schema of a document that has an error alone.
func OfError(top string, format int, problem any) ([]byte, error) {
	m := &maker{comments: comments{top: top}, defs: map[string]object{}, of: map[string]reflect.Type{}}
	if _, err := m.ref(reflect.TypeOf(problem)); err != nil {
		return nil, err
	}
	o := object{{"type", "object"}, {"properties", object{}}, {"required", []string{"error"}}}.framed(format)
	return render(m.withDefs(append(object{{"$schema", dialect}, {"title", "an error, where a command prints nothing else as JSON"}}, o...)))
}

// Like is the schema of a command that prints what another file has.
func Like(title, file string) ([]byte, error) {
	return render(object{{"$schema", dialect}, {"title", title}, {"$ref", file}})
}

const dialect = "https://json-schema.org/draft/2020-12/schema"

// object is an object of JSON whose fields have an order.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for i, m := range o {
		out.WriteByte("{,"[min(i, 1)])
		for _, part := range []any{m.name, m.value} {
			if err := e.Encode(part); err != nil {
				return nil, err
			}
			out.Truncate(out.Len() - 1) // the line's end
			out.WriteByte(':')
		}
		out.Truncate(out.Len() - 1)
	}
	if len(o) == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// framed is an object with what every document has.
func (o object) framed(format int) object {
	properties, _ := o.get("properties").(object)
	required, _ := o.get("required").([]string)
	out := object{}
	for _, m := range o {
		switch m.name {
		case "properties":
			m.value = append(append(object{{"format", object{{"const", format}}}}, properties...), member{"error", object{{"$ref", "error.json#/$defs/Problem"}}})
		case "required":
			m.value = append([]string{"format"}, required...)
		}
		out = append(out, m)
	}
	return out
}

func render(o object) ([]byte, error) {
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

// maker makes schemas of types; those with a name are defined once.
type maker struct {
	comments comments
	defs     map[string]object
	of       map[string]reflect.Type
	order    []string
}

func (m *maker) withDefs(root object) object {
	var defs object
	for _, name := range m.order {
		defs = append(defs, member{name, m.defs[name]})
	}
	if len(defs) > 0 {
		root = append(root, member{"$defs", defs})
	}
	return root
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// value is the schema of a value of t.
func (m *maker) value(t reflect.Type) (object, error) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{{"type", "string"}, {"format", "date-time"}}, nil
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{{"type", "string"}}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.value(t.Elem())
	case reflect.Bool:
		return object{{"type", "boolean"}}, nil
	case reflect.String:
		return object{{"type", "string"}}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{{"type", "integer"}}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{{"type", "integer"}, {"minimum", 0}}, nil
	case reflect.Float32, reflect.Float64:
		return object{{"type", "number"}}, nil
	case reflect.Slice:
		items, err := m.value(t.Elem())
		return object{{"type", "array"}, {"items", items}}, err
	case reflect.Map:
		values, err := m.value(t.Elem())
		return object{{"type", "object"}, {"additionalProperties", values}}, err
	case reflect.Struct:
		return m.ref(t)
	}
	return nil, fmt.Errorf("there is no schema of %s", t)
}

// ref refers to the definition of a struct, which it makes.
func (m *maker) ref(t reflect.Type) (object, error) {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if other, made := m.of[name]; made && other != t {
		return nil, fmt.Errorf("%s and %s would both be called %s", other, t, name)
	}
	if _, made := m.of[name]; !made {
		m.of[name] = t
		m.order = append(m.order, name)
		o, err := m.object(t)
		if err != nil {
			return nil, err
		}
		m.defs[name] = o
	}
	return object{{"$ref", "#/$defs/" + name}}, nil
}

// object is the schema of a struct.
func (m *maker) object(t reflect.Type) (object, error) {
	about, err := m.comments.of(t)
	if err != nil {
		return nil, err
	}
	properties, required := object{}, []string{}
	if f, ok := reflect.New(t).Interface().(Fielder); ok {
		properties, required, err = m.fields(f, about)
	} else if t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) {
		err = fmt.Errorf("%s writes itself, and does not say how", t)
	} else {
		err = m.inside(t, &properties, &required)
	}
	out := object{}
	if text := about[""]; text != "" {
		out = append(out, member{"description", text})
	}
	return append(out, member{"type", "object"}, member{"properties", properties}, member{"required", required}), err
}

// fields are the properties of a type that writes itself; those that are the struct's have its
// comments.
func (m *maker) fields(f Fielder, comments map[string]string) (properties object, required []string, err error) {
	names, values, about, always := f.Fields()
	for field, text := range comments {
		for _, name := range names {
			if about[name] == "" && strings.EqualFold(strings.ReplaceAll(name, "_", ""), field) {
				about[name] = text
			}
		}
	}
	properties, required = object{}, []string{}
	for _, name := range names {
		v, err := m.value(deref(reflect.TypeOf(values[name])))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		properties = append(properties, member{name, described(v, about[name])})
		if slices.Contains(always, name) {
			required = append(required, name)
		}
	}
	return properties, required, nil
}

// described is a schema with a word for people.
func described(o object, about string) object {
	if about == "" {
		return o
	}
	return append(object{{"description", about}}, o...)
}

// inside adds what encoding/json writes of a struct; an embedded one's fields are its own.
func (m *maker) inside(t reflect.Type, properties *object, required *[]string) error {
	about, err := m.comments.of(t)
	if err != nil {
		return err
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
			continue
		case f.Anonymous && name == "":
			if err := m.inside(deref(f.Type), properties, required); err != nil {
				return err
			}
			continue
		case !f.IsExported():
			continue
		case name == "":
			return fmt.Errorf("%s.%s has no name in JSON", t, f.Name)
		}
		v, err := m.value(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		*properties = append(*properties, member{name, described(v, about[f.Name])})
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
	return nil
}
