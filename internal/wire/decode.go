package wire

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reader reads JSON once from start to end, and counts the memory that it needs.
type reader struct {
	data []byte
	at   int
	bounds
}

func newReader(data []byte) *reader { return &reader{data: data, bounds: boundsFor(len(data))} }

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
			if err := r.charge(v.Type().Elem().Size()); err != nil {
				return err
			}
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

// own has a value with a JSON or text form of its own decode itself.
func (r *reader) own(v reflect.Value) (bool, error) {
	if v.Type().PkgPath() == "" {
		return false, nil // no methods: a type without a name, or Go's own
	}
	switch u := v.Addr().Interface().(type) {
	case interface{ UnmarshalJSON([]byte) error }:
		raw, err := r.skip()
		if err == nil {
			err = r.charge(2 * uintptr(len(raw)))
		}
		if err != nil {
			return true, err
		}
		return true, u.UnmarshalJSON(raw)
	case encoding.TextUnmarshaler:
		s, err := r.quoted()
		switch {
		case err != nil:
			return true, err
		case len(s) > maxValue:
			return true, errType // without the value, which may be long
		}
		return true, u.UnmarshalText(s)
	}
	return false, nil
}

// members calls member for every member of an object, with the reader at its value.
func (r *reader) members(member func(name []byte) error) error {
	if !r.take('{') {
		return errType
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	if r.take('}') {
		return nil
	}
	for {
		name, err := r.quoted()
		if err != nil {
			return err
		}
		if !r.take(':') {
			return errSyntax
		}
		if err := member(name); err != nil {
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

// fields reads a struct. Each field is searched from the one before on: they are written
// in this order.
func (r *reader) fields(v reflect.Value) error {
	t, next := v.Type(), 0
	return r.members(func(name []byte) error {
		for range t.NumField() {
			f := t.Field(next)
			at := v.Field(next)
			next = (next + 1) % t.NumField()
			if named(&f) == string(name) && f.IsExported() {
				return r.value(at)
			}
		}
		_, err := r.skip()
		return err
	})
}

func (r *reader) list(v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return unsupported(v.Type())
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return r.each(func() error {
		i := v.Len()
		if i == 0 {
			n := r.elements()
			if err := r.chargeAll(n, v.Type().Elem().Size()); err != nil {
				return err
			}
			v.Set(reflect.MakeSlice(v.Type(), 0, n))
		}
		if i == v.Cap() {
			return errSyntax
		}
		v.SetLen(i + 1)
		return r.value(v.Index(i))
	})
}

// each calls element for every element of a list, with the reader at its value.
func (r *reader) each(element func() error) error {
	if !r.take('[') {
		return errType
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	if r.take(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
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

// elements counts the elements of a list, of which the first comes next, so that its
// memory is allocated once. If it is no JSON, the number means nothing; the reader finds
// that out later.
func (r *reader) elements() int {
	n, depth := 1, 0
	for i := r.at; i < len(r.data); i++ {
		switch r.data[i] {
		case '"':
			end, _ := endOfString(r.data, i)
			if end < 0 {
				return n
			}
			i = end - 1
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth < 0 {
				return n
			}
		case ',':
			if depth == 0 {
				n++
			}
		}
	}
	return n
}

func (r *reader) mapping(v reflect.Value) error {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		return unsupported(t)
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	key, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	return r.members(func(name []byte) error {
		// A map allocates up to twice its entries.
		if err := r.chargeAll(1, 2*(t.Key().Size()+t.Elem().Size())+uintptr(len(name))); err != nil {
			return err
		}
		e.SetZero()
		if err := r.value(e); err != nil {
			return err
		}
		key.SetString(string(name))
		v.SetMapIndex(key, e)
		return nil
	})
}

// text reads a string.
func (r *reader) text() (string, error) {
	s, err := r.quoted()
	if err == nil {
		err = r.charge(uintptr(len(s)))
	}
	if err != nil {
		return "", err
	}
	return string(s), nil
}

// quoted reads a string without copying it, if it has no escapes.
func (r *reader) quoted() ([]byte, error) {
	if r.peek() != '"' {
		return nil, errType
	}
	from := r.at
	end, verbatim := endOfString(r.data, from)
	if end < 0 {
		return nil, errSyntax
	}
	r.at = end
	if end-from > maxText {
		return nil, fmt.Errorf("%w: a text of more than %d bytes", ErrBounds, maxText)
	}
	if verbatim {
		return r.data[from+1 : end-1], nil
	}
	if !utf8.Valid(r.data[from:end]) {
		return nil, errSyntax
	}
	return unescaped(r.data[from+1 : end-1]), nil
}

func (r *reader) number(v reflect.Value) error {
	text := r.numeral()
	if len(text) == 0 || len(text) > maxDigits {
		return errType
	}
	digits := string(text)
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
	return unsupported(v.Type())
}

// numeral takes a number as RFC 8259, section 6, has it; empty if none comes next.
func (r *reader) numeral() []byte {
	r.peek()
	from := r.at
	r.any("-")
	if !r.any("0") && !r.digits() {
		r.at = from
		return nil
	}
	if at := r.at; r.any(".") && !r.digits() {
		r.at = at
	}
	if at := r.at; r.any("eE") {
		if r.any("+-"); !r.digits() {
			r.at = at
		}
	}
	return r.data[from:r.at]
}

// any takes the next byte if it is one of these.
func (r *reader) any(of string) bool {
	yes := r.at < len(r.data) && strings.IndexByte(of, r.data[r.at]) >= 0
	if yes {
		r.at++
	}
	return yes
}

func (r *reader) digits() bool {
	from := r.at
	for r.any("0123456789") {
	}
	return r.at > from
}

// skip reads the next value, whatever it is, and returns its text.
func (r *reader) skip() ([]byte, error) {
	c := r.peek()
	from := r.at
	var err error
	switch c {
	case '"':
		end, _ := endOfString(r.data, r.at)
		if r.at = end; end < 0 {
			return nil, errSyntax
		}
	case '{':
		err = r.members(func([]byte) error { _, err := r.skip(); return err })
	case '[':
		err = r.each(func() error { _, err := r.skip(); return err })
	default:
		if !r.word("null") && !r.word("true") && !r.word("false") && len(r.numeral()) == 0 {
			err = errSyntax
		}
	}
	if err != nil {
		return nil, err
	}
	return r.data[from:r.at], nil
}
