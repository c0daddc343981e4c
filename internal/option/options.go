package option

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/state"
)

// Option is one setting that networks can have: a key of the cluster file and, where Help
// says what for, a flag of createnetwork. Which kinds take it, the kinds say.
type Option struct {
	Key     string   // in the cluster file, and the flag's long name
	Short   string   // the flag's letter; "": it has none
	Help    string   // of the flag, its value in `quotes`; "": createnetwork does not have it
	Set     string   // of the flag that only setnetwork has, of networks that other commands make; "": it has none
	Offer   []string // values that a shell completes
	Servers bool     // a shell completes names of servers

	Bare   string                                  // what the flag without a value says; "": it must have one
	Parse  func(string) (int64, error)             // of a number that is written in several ways; nil: it is not
	field  func(*state.Network) any                // the pointer to where a network has it
	Among  owners                                  // whose it is, for the refusal
	span   *span                                   // of a number: what it may be
	check  func(*state.Network) error              // of another value, where one could be wrong; nil: none is
	assign func(n *state.Network, value any) error // nil: the flag's value is the field's
	said   func(*state.Network) []string           // the values that a listing says; nil: what is written
}

// owners are the sort of networks that an option is for.
type owners int

// Whose an option is, as far as advice needs it.
const (
	ofAll owners = iota
	OfSegments
	OfMeshes
	OfPools
	OfClouds
	ofBGP
	ofTunnels
)

// Options are settings as flags of createnetwork have them, by Option.Key. A value has
// the type of Option.Zero.
type Options map[string]any

// optionTable is made once: what checks options looks options up.
var optionTable struct {
	once sync.Once
	all  []Option
}

// All returns the settings that networks can have, in the order in which listings
// show them.
func All() []Option {
	optionTable.once.Do(func() { optionTable.all = makeOptions() })
	return optionTable.all
}

// Of is the option of a key that is in the table.
func Of(key string) *Option {
	all := All()
	return &all[slices.IndexFunc(all, func(o Option) bool { return o.Key == key })]
}

// Settable says whether setnetwork has a flag of it.
func (o *Option) Settable() bool { return o.Help != "" || o.Set != "" }

// Flag is the option as messages call it: by its flag, the short one if it has one, or by
// its key.
func (o *Option) Flag() string {
	switch {
	case !o.Settable():
		return o.Key
	case o.Short != "":
		return "-" + o.Short
	}
	return "--" + o.Key
}

// IsSet says whether n has a value of it.
func (o *Option) IsSet(n *state.Network) bool {
	v := reflect.ValueOf(o.field(n)).Elem()
	if v.Kind() == reflect.Slice {
		return v.Len() > 0
	}
	return !v.IsZero()
}

// Clear takes n's value of it away.
func (o *Option) Clear(n *state.Network) { reflect.ValueOf(o.field(n)).Elem().SetZero() }

// Zero is the flag's value that says nothing: a string, bool, int64, netip.Addr,
// []netip.Prefix, []string or []int.
func (o *Option) Zero() any {
	switch v := o.Value(&state.Network{}).(type) {
	case int, uint8, uint16, uint32:
		return int64(0)
	default:
		return v
	}
}

// Value is what n has of it, of the type that it has in the file.
func (o *Option) Value(n *state.Network) any { return reflect.ValueOf(o.field(n)).Elem().Interface() }

// Said is what a listing says of n's values: a word and the value, or the word alone.
func (o *Option) Said(n *state.Network) [][]string {
	word := o.Key
	switch v := o.Value(n).(type) {
	case bool:
		if v {
			return [][]string{{word}}
		}
		return nil
	case []string:
		word = strings.TrimSuffix(word, "s") // one of them each
	}
	var out [][]string
	for _, value := range o.values(n) {
		out = append(out, []string{word, value})
	}
	return out
}

// Words are the flags that give a network n's values of it: the flag and the value each, or
// one word.
func (o *Option) Words(n *state.Network) [][]string {
	flag := "--" + o.Key
	switch v := o.Value(n).(type) {
	case bool:
		return [][]string{{fmt.Sprintf("%s=%t", flag, v)}}
	case []netip.Prefix:
		var out [][]string
		for _, p := range v {
			out = append(out, []string{flag, p.String()})
		}
		return out
	case []string:
		var out [][]string
		for _, word := range v {
			out = append(out, []string{flag, word})
		}
		return out
	case []int:
		var out [][]string
		for _, number := range v {
			out = append(out, []string{flag, strconv.Itoa(number)})
		}
		return out
	default:
		return [][]string{{flag, fmt.Sprint(v)}}
	}
}

// values are n's values as text, none where nothing is written.
func (o *Option) values(n *state.Network) []string {
	if o.said != nil {
		return o.said(n)
	}
	if !o.IsSet(n) {
		return nil
	}
	switch v := o.Value(n).(type) {
	case []string:
		return v
	case []int:
		var out []string
		for _, number := range v {
			out = append(out, strconv.Itoa(number))
		}
		return out
	case []netip.Prefix:
		var out []string
		for _, p := range v {
			out = append(out, p.String())
		}
		return out
	default:
		return []string{fmt.Sprint(v)}
	}
}

func unsaid(*state.Network) []string { return nil }

func saidHold(n *state.Network) []string {
	if n.Hold == 0 || n.Hold == DefaultHold {
		return nil
	}
	return []string{strconv.Itoa(n.Hold)}
}

// saidDHCP is the server that hands out addresses, or how it is done otherwise.
func saidDHCP(n *state.Network) []string {
	value := n.DHCP
	if n.DHCP == state.DHCPSingle || n.DHCP == "" {
		value = cmp.Or(ground.DHCPServer(n), n.DHCPServer)
	}
	if value == "" {
		return nil
	}
	return []string{value}
}

// CheckValues refuses values that no network may have, whatever its type.
func CheckValues(n *state.Network) error {
	for i := range All() {
		o := &All()[i]
		if err := o.checked(n); err != nil {
			return hint.Pin(err, o.Key)
		}
	}
	return checkDealtValues(n)
}

func (o *Option) checked(n *state.Network) error {
	switch {
	case o.check != nil:
		return o.check(n)
	case o.span != nil:
		return o.span.given(reflect.ValueOf(o.Value(n)).Convert(reflect.TypeFor[int64]()).Int())
	}
	return nil
}

// Give assigns what the flags say to a new network.
func (given Options) Give(n *state.Network) error {
	used := 0
	for i := range All() {
		o := &All()[i]
		value, is := given[o.Key]
		if !is || !o.Settable() {
			continue
		}
		used++
		if err := o.give(n, value); err != nil {
			return err
		}
	}
	if used < len(given) {
		return fmt.Errorf("%d of the options are none", len(given)-used)
	}
	return nil
}

// give assigns the value of a flag.
func (o *Option) give(n *state.Network, value any) error {
	from := reflect.ValueOf(value)
	if from.Type() != reflect.TypeOf(o.Zero()) {
		return fmt.Errorf("%s is a %T, not a %T", o.Key, o.Zero(), value)
	}
	if o.assign != nil {
		return o.assign(n, value)
	}
	if number, is := value.(int64); is && o.span != nil && o.Parse == nil { // which has checked it, and may know one more
		if err := o.span.check(number); err != nil {
			return err
		}
	}
	to := reflect.ValueOf(o.field(n)).Elem()
	to.Set(from.Convert(to.Type()))
	return nil
}

func assignSubnets(n *state.Network, value any) error {
	list, _ := value.([]netip.Prefix)
	for _, p := range list {
		if err := ground.HostBits(p, ground.ByFlag); err != nil {
			return err
		}
	}
	n.Subnets = slices.Clone(list)
	return nil
}

// addPools adds pools to those that n has.
func addPools(n *state.Network, value any) error {
	list, _ := value.([]netip.Prefix)
	for _, p := range list {
		if err := ground.HostBits(p, ground.ByFlag); err != nil {
			return err
		}
		if !slices.Contains(n.More, p) && !slices.Contains(n.Subnets, p) {
			n.More = append(n.More, p)
		}
	}
	return nil
}

func checkReflectors(n *state.Network) error {
	for _, reflector := range n.Reflectors {
		if err := checkServerName(reflector); err != nil {
			return err
		}
	}
	return nil
}

func checkLengths(n *state.Network) error {
	for _, length := range n.SubnetLens {
		if err := lengthSpan.check(int64(length)); err != nil {
			return err
		}
	}
	return nil
}

func checkDHCPMode(n *state.Network) error {
	return text(n.DHCP, oneOf("--dhcp", "DHCP mode", state.DHCPSingle, state.DHCPDistributed, state.DHCPOff))
}

func checkServerName(name string) error { return state.CheckName("server", name) }
