package wire

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal and Unmarshal are encoding/json for types that are known to be plain, and
// for programs that live for one message. encoding/json first finds out all that it
// may ever want to know of a type and of whatever the type may hold, which takes an
// agent longer than its whole look at the server (0.5 ms); these look at what is there.
//
// Plain are structs without embedded ones, whose fields go by their Go names (the
// tag may say omitempty or omitzero), pointers, slices other than []byte, maps from
// strings, strings, numbers without fractions, booleans, and what has a JSON or
// text form of its own. Others are an error.

// Marshal returns what json.Marshal does, byte for byte.
func Marshal(v any) ([]byte, error) {
	return appendValue(nil, reflect.ValueOf(v))
}

// Unmarshal reads what json.Unmarshal does, but for fields in other cases than
// theirs.
func Unmarshal(data []byte, v any) error {
	at := reflect.ValueOf(v)
	if at.Kind() != reflect.Pointer || at.IsNil() {
		return fmt.Errorf("read JSON into a %T: that is no place", v)
	}
	r := &reader{data: data}
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
		case json.Marshaler:
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
	return nil, notPlain(v.Type())
}

func notPlain(t reflect.Type) error { return fmt.Errorf("a %s is not plain", t) }

func appendStruct(b []byte, v reflect.Value) ([]byte, error) {
	b = append(b, '{')
	first := true
	for i := range v.NumField() {
		f, at := v.Type().Field(i), v.Field(i)
		if f.Anonymous {
			return nil, notPlain(v.Type())
		}
		if !f.IsExported() || left(f.Tag.Get("json"), at) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, f.Name), ':')
		var err error
		if b, err = appendValue(b, at); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// left says whether a field is left out by its tag.
func left(tag string, v reflect.Value) bool {
	switch tag {
	case ",omitempty":
		switch v.Kind() {
		case reflect.Slice, reflect.Map, reflect.String:
			return v.Len() == 0
		case reflect.Struct:
			return false
		}
		return v.IsZero()
	case ",omitzero":
		return v.IsZero()
	}
	return false
}

func appendSlice(b []byte, v reflect.Value) ([]byte, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return nil, notPlain(v.Type())
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
		return nil, notPlain(v.Type())
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key.String()), ':')
		var err error
		if b, err = appendValue(b, v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendString(b []byte, s string) []byte {
	if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(`"\<>&`, c) }) {
		quoted, _ := json.Marshal(s) // a string has no errors
		return append(b, quoted...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// reader goes through JSON once, from its start.
type reader struct {
	data []byte
	at   int
}

var (
	errSyntax = errors.New("this is no JSON")
	errType   = errors.New("this is not what belongs here")
)

// peek skips white space and returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	for r.at < len(r.data) {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// take skips c if it comes next.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) word(w string) bool {
	if r.peek() == w[0] && bytes.HasPrefix(r.data[r.at:], []byte(w)) {
		r.at += len(w)
		return true
	}
	return false
}

// value reads the next value into v, which is settable.
func (r *reader) value(v reflect.Value) error {
	if r.word("null") {
		v.SetZero()
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return r.value(v.Elem())
	}
	if own, err := r.own(v); own || err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Struct:
		return r.fields(v)
	case reflect.Slice:
		return r.list(v)
	case reflect.Map:
		return r.mapping(v)
	case reflect.String:
		s, err := r.text()
		v.SetString(s)
		return err
	case reflect.Bool:
		yes := r.word("true")
		if !yes && !r.word("false") {
			return errType
		}
		v.SetBool(yes)
		return nil
	}
	return r.number(v)
}

// own lets a value with a form of its own read itself.
func (r *reader) own(v reflect.Value) (bool, error) {
	if v.Type().PkgPath() == "" {
		return false, nil // no methods: a type without a name, or Go's own
	}
	switch u := v.Addr().Interface().(type) {
	case json.Unmarshaler:
		raw, err := r.skip()
		if err != nil {
			return true, err
		}
		return true, u.UnmarshalJSON(raw)
	case encoding.TextUnmarshaler:
		s, err := r.text()
		if err != nil {
			return true, err
		}
		return true, u.UnmarshalText([]byte(s))
	}
	return false, nil
}

// members calls each for every member of an object, with the reader before its
// value.
func (r *reader) members(each func(name string) error) error {
	if !r.take('{') {
		return errType
	}
	if r.take('}') {
		return nil
	}
	for {
		name, err := r.text()
		if err != nil {
			return err
		}
		if !r.take(':') {
			return errSyntax
		}
		if err := each(name); err != nil {
			return err
		}
		if r.take('}') {
			return nil
		}
		if !r.take(',') {
			return errSyntax
		}
	}
}

// fields reads a struct. They are looked for from where the last one was found: that
// is how they are written.
func (r *reader) fields(v reflect.Value) error {
	t, next := v.Type(), 0
	return r.members(func(name string) error {
		for range t.NumField() {
			f := t.Field(next)
			at := v.Field(next)
			next = (next + 1) % t.NumField()
			if f.Name == name && f.IsExported() {
				return r.value(at)
			}
		}
		_, err := r.skip()
		return err
	})
}

func (r *reader) list(v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return notPlain(v.Type())
	}
	if !r.take('[') {
		return errType
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	if r.take(']') {
		return nil
	}
	for n := 0; ; n++ {
		v.Grow(1)
		v.SetLen(n + 1)
		v.Index(n).SetZero()
		if err := r.value(v.Index(n)); err != nil {
			return err
		}
		if r.take(']') {
			return nil
		}
		if !r.take(',') {
			return errSyntax
		}
	}
}

func (r *reader) mapping(v reflect.Value) error {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		return notPlain(t)
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	return r.members(func(name string) error {
		e := reflect.New(t.Elem()).Elem()
		if err := r.value(e); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), e)
		return nil
	})
}

// text reads a string.
func (r *reader) text() (string, error) {
	if r.peek() != '"' {
		return "", errType
	}
	from := r.at
	end, plain := r.endOfString()
	if end < 0 {
		return "", errSyntax
	}
	r.at = end
	if plain {
		return string(r.data[from+1 : end-1]), nil
	}
	var s string
	err := json.Unmarshal(r.data[from:end], &s)
	return s, err
}

// endOfString returns where the string that begins here is over, -1 if it is not, and
// whether what is between the quotes stands for itself.
func (r *reader) endOfString() (end int, plain bool) {
	plain = true
	for i := r.at + 1; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			return i + 1, plain
		case c == '\\':
			i++
			plain = false
		case c < ' ' || c > '~':
			plain = false
		}
	}
	return -1, false
}

func (r *reader) number(v reflect.Value) error {
	r.peek()
	from := r.at
	for r.at < len(r.data) && (r.data[r.at] == '-' || r.data[r.at] >= '0' && r.data[r.at] <= '9') {
		r.at++
	}
	digits := string(r.data[from:r.at])
	if digits == "" {
		return errType
	}
	if !json.Valid(r.data[from:r.at]) { // 01, 1-2
		return errSyntax
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(digits, 10, v.Type().Bits())
		v.SetInt(n)
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(digits, 10, v.Type().Bits())
		v.SetUint(n)
		return err
	}
	return notPlain(v.Type())
}

// skip goes past the next value, whatever it is, and returns it.
func (r *reader) skip() ([]byte, error) {
	r.peek()
	from, depth := r.at, 0
	for r.at < len(r.data) {
		switch c := r.peek(); c {
		case '"':
			end, _ := r.endOfString()
			if end < 0 {
				return nil, errSyntax
			}
			r.at = end
		case '{', '[':
			depth++
			r.at++
		case '}', ']':
			depth--
			r.at++
		case ',', ':':
			r.at++
		case 0:
			return nil, errSyntax
		default: // numbers and words
			for r.at < len(r.data) && !bytes.ContainsRune([]byte(" \t\r\n,:]}{[\""), rune(r.data[r.at])) {
				r.at++
			}
		}
		if depth <= 0 {
			break
		}
	}
	raw := r.data[from:r.at]
	if !json.Valid(raw) {
		return nil, errSyntax
	}
	return raw, nil
}
