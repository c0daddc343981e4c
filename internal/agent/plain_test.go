//go:build linux

package agent

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// TestMessagesArePlain sends every field that a message can have.
func TestMessagesArePlain(t *testing.T) {
	for _, message := range []any{&spec.Request{}, &spec.Reply{}, &map[string]sysctlNote{}} {
		fill(t, reflect.ValueOf(message).Elem())
		want, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		have, err := wire.Marshal(message)
		if err != nil || string(have) != string(want) {
			t.Errorf("%T: %v\nwant %s\nhave %s", message, err, want, have)
		}
		back := reflect.New(reflect.TypeOf(message).Elem())
		if err := wire.Unmarshal(want, back.Interface()); err != nil {
			t.Errorf("%T: %v", message, err)
		}
		if again, err := json.Marshal(back.Interface()); err != nil || string(again) != string(want) {
			t.Errorf("%T: %v\nwant %s\nhave %s", message, err, want, again)
		}
	}
}

// fill gives v, and all in it, a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("10.1.2.3")))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("fd00::1/64")))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 2).UTC()))
		return
	case *spec.AddrSet:
		v.Set(reflect.ValueOf(spec.NewAddrSet(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::2"))))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		fill(t, e)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), e)
	case reflect.String:
		v.SetString("a <b> \"c\" é\n")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(42)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(42)
	default:
		t.Fatalf("%s: a kind that no message had so far", v.Type())
	}
}
