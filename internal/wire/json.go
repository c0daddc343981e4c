package wire

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal and Unmarshal are encoding/json for simple types, and for programs that live
// for one message. encoding/json first analyses a type and all types in it, which takes
// an agent longer than its whole look at the server (0.5 ms); these look only at the
// values that are there. An agent reads and writes no other JSON: encoding/json takes 240 KB.
//
// Simple types are structs without embedded ones (a field's tag may say its name, and
// omitempty or omitzero), pointers, slices other than []byte, maps from strings, strings,
// integers, booleans, and types with a JSON or text form of their own. Others are an error.

// Marshal returns what json.Marshal does, byte for byte.
func Marshal(v any) ([]byte, error) {
	return appendValue(make([]byte, 0, 1<<10), reflect.ValueOf(v))
}

// Unmarshal reads what json.Unmarshal does, except for field names in another case, text
// that is not UTF-8, and what exceeds the bounds of a message (ErrBounds).
func Unmarshal(data []byte, v any) error {
	at := reflect.ValueOf(v)
	if at.Kind() != reflect.Pointer || at.IsNil() {
		return fmt.Errorf("read JSON into a %T: that is no place", v)
	}
	r := newReader(data)
	if err := r.value(at.Elem()); err != nil {
		return fmt.Errorf("read JSON at byte %d: %w", r.at, err)
	}
	if r.peek() != 0 || r.at < len(data) {
		return fmt.Errorf("read JSON at byte %d: more than one value", r.at)
	}
	return nil
}

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	nilable := v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map
	if v.Kind() != reflect.Slice && nilable && v.IsNil() {
		return append(b, "null"...), nil
	}
	if v.Type().NumMethod() > 0 {
		switch m := v.Interface().(type) {
		case interface{ MarshalJSON() ([]byte, error) }:
			own, err := m.MarshalJSON()
			return append(b, own...), err
		case encoding.TextMarshaler:
			text, err := m.MarshalText()
			return appendString(b, string(text)), err
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return appendValue(b, v.Elem())
	case reflect.Struct:
		return appendStruct(b, v)
	case reflect.Slice:
		return appendSlice(b, v)
	case reflect.Map:
		return appendMap(b, v)
	case reflect.String:
		return appendString(b, v.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	}
	return nil, unsupported(v.Type())
}

func unsupported(t reflect.Type) error { return fmt.Errorf("a %s has no place in a message", t) }

func appendStruct(b []byte, v reflect.Value) ([]byte, error) {
	b = append(b, '{')
	first := true
	for i := range v.NumField() {
		f, at := v.Type().Field(i), v.Field(i)
		if f.Anonymous {
			return nil, unsupported(v.Type())
		}
		if !f.IsExported() || omitted(f.Tag.Get("json"), at) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, named(&f)), ':')
		var err error
		if b, err = appendValue(b, at); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// named is what a field is called in JSON.
func named(f *reflect.StructField) string {
	if f.Tag == "" || strings.HasPrefix(string(f.Tag), `json:",`) { // as almost all of ours
		return f.Name
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return cmp.Or(name, f.Name)
}

// omitted says whether a field is omitted because of its tag.
func omitted(tag string, v reflect.Value) bool {
	switch _, option, _ := strings.Cut(tag, ","); option {
	case "omitempty":
		switch v.Kind() {
		case reflect.Slice, reflect.Map, reflect.String:
			return v.Len() == 0
		case reflect.Struct:
			return false
		}
		return v.IsZero()
	case "omitzero":
		return v.IsZero()
	}
	return false
}

func appendSlice(b []byte, v reflect.Value) ([]byte, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return nil, unsupported(v.Type())
	}
	if v.IsNil() {
		return append(b, "null"...), nil
	}
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, v reflect.Value) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, unsupported(v.Type())
	}
	keys := make([]string, 0, v.Len()) // strings, which others sort too: each type takes 9 KB of the agent
	for _, key := range v.MapKeys() {
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key), ':')
		var err error
		if b, err = appendValue(b, v.MapIndex(reflect.ValueOf(key).Convert(v.Type().Key()))); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
