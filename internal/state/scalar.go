package state

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Types of values, in the words of TOML.
const (
	aString   = "a string"
	anInteger = "an integer"
	aBool     = "true or false"
	aTime     = "a date with time and offset"
	anArray   = "an array"
	aTable    = "a table"
)

// misfit is the error about a value of one type where another is needed.
func misfit(have, want string) error { return fmt.Errorf("%s where %s belongs", have, want) }

var (
	timeType   = reflect.TypeFor[time.Time]()
	addrType   = reflect.TypeFor[netip.Addr]()
	prefixType = reflect.TypeFor[netip.Prefix]()
)

// wordOf is the TOML word for a Go type.
func wordOf(t reflect.Type) string {
	switch t {
	case timeType:
		return aTime
	case addrType, prefixType:
		return aString
	}
	switch t.Kind() {
	case reflect.String:
		return aString
	case reflect.Bool:
		return aBool
	case reflect.Slice:
		return anArray
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return aTable
	}
	return anInteger
}

func wordOfKind(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return aString
	case unstable.Integer:
		return anInteger
	case unstable.Bool:
		return aBool
	case unstable.DateTime:
		return aTime
	case unstable.Array:
		return anArray
	case unstable.InlineTable:
		return aTable
	case unstable.Float:
		return "a number with a fraction"
	}
	return "a date or time without offset"
}

// setScalar sets v from a value that is neither an array nor a table.
func setScalar(v reflect.Value, node *unstable.Node) error {
	have, want := wordOfKind(node.Kind), wordOf(v.Type())
	if have != want {
		return misfit(have, want)
	}
	text := string(node.Data)
	switch v.Type() {
	case timeType:
		return setTime(v, text)
	case addrType:
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("%q is not an address such as 10.0.0.1 or fd00::1", text)
		}
		v.Set(reflect.ValueOf(addr))
		return nil
	case prefixType:
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is not a prefix such as 10.0.4.0/24 or fd00::/64", text)
		}
		v.Set(reflect.ValueOf(prefix))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(text == "true")
	default:
		return setInteger(v, text)
	}
	return nil
}

// setInteger sets an integer of any size and sign. The parser has checked the grammar:
// underscores stand between digits, and no decimal starts with a zero.
func setInteger(v reflect.Value, text string) error {
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64)
	if v.CanUint() {
		if err != nil || n < 0 || v.OverflowUint(uint64(n)) {
			return fmt.Errorf("%s is out of range: 0 to %d", text, uint64(1)<<min(v.Type().Bits(), 63)-1)
		}
		v.SetUint(uint64(n))
		return nil
	}
	if err != nil || v.OverflowInt(n) {
		return fmt.Errorf("%s is out of range", text)
	}
	v.SetInt(n)
	return nil
}

// setTime sets a time, in UTC so that it has one written form.
func setTime(v reflect.Value, text string) error {
	when, err := time.Parse(time.RFC3339Nano, strings.ToUpper(strings.Replace(text, " ", "T", 1)))
	if err != nil || when.UTC().Year() < 0 || when.UTC().Year() > 9999 {
		return fmt.Errorf("%s is not a date with time and offset such as 2006-01-02T15:04:05Z", text)
	}
	v.Set(reflect.ValueOf(when.UTC()))
	return nil
}
