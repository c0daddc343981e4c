// Package fill puts something into every field of a value, for tests that must not
// forget a field: a new one is filled without a word about it.
//
// It owns the walk through the value. It refuses kinds that it does not know, and knows
// none of our types: for those with hidden fields the test gives a value.
package fill

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// TB is the part of testing.TB that All uses.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// All gives what v points to, and everything in it, a value that is not zero, and as far
// as possible one that nothing else has: lists get two elements, maps one, with the key
// "key". A type of which known has a value gets that one. A kind of which nobody says how
// to fill it ends the test.
func All(t TB, v any, known ...any) {
	t.Helper()
	f := filler{t: t, known: map[reflect.Type]reflect.Value{}}
	for _, k := range append([]any{
		netip.MustParseAddr("fd00::1"), netip.MustParsePrefix("10.0.0.1/24"), time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}, known...) {
		f.known[reflect.TypeOf(k)] = reflect.ValueOf(k)
	}
	f.fill(reflect.ValueOf(v).Elem())
}

type filler struct {
	t     TB
	known map[reflect.Type]reflect.Value
	n     uint8 // the last number; 0 is none
}

func (f *filler) next() uint8 {
	f.n = f.n%100 + 1
	return f.n
}

func (f *filler) fill(v reflect.Value) {
	f.t.Helper()
	if value, ok := f.known[v.Type()]; ok {
		v.Set(value)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		f.fill(e)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), e)
	case reflect.String:
		v.SetString(fmt.Sprint("a", f.next()))
	case reflect.Bool:
		v.SetBool(true)
	default:
		switch {
		case v.CanUint():
			v.SetUint(uint64(f.next()))
		case v.CanInt():
			v.SetInt(int64(f.next()))
		default:
			f.t.Fatalf("%s: nobody says how to fill it", v.Type())
		}
	}
}
