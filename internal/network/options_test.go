package network

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/state"
)

// Every key that a file can have in a network is in the table of options, and every option
// is a key; what is dealt out and who is a member are none.
func TestEveryKeyIsAnOption(t *testing.T) {
	none := []string{"type", "members", "forced", "allocated"}
	keys := map[string]bool{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[state.Network]()) {
		key, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		keys[key] = true
		if slices.Contains(none, key) {
			continue
		}
		at := slices.IndexFunc(AllOptions(), func(o Option) bool { return o.Key == key })
		if at < 0 {
			t.Errorf("%s of a network's file is not in the table of options", key)
			continue
		}
		n := &state.Network{}
		v := reflect.ValueOf(n).Elem().FieldByIndex(field.Index)
		if reflect.ValueOf(AllOptions()[at].field(n)).Pointer() != v.Addr().Pointer() {
			t.Errorf("the option %s is another key's", key)
		}
	}
	for _, o := range AllOptions() {
		if !keys[o.Key] {
			t.Errorf("the option %s is no key of a file", o.Key)
		}
	}
}

// What kinds say that they take is in the table, and every option is some kind's. Who has a
// flag is told how it is read.
func TestEveryOptionIsTaken(t *testing.T) {
	taken := map[string]bool{}
	for _, k := range kinds() {
		for _, key := range k.takes {
			taken[key] = true
			if !slices.ContainsFunc(AllOptions(), func(o Option) bool { return o.Key == key }) {
				t.Errorf("%s takes %s, which is no option", k.Name, key)
			}
		}
	}
	for _, o := range AllOptions() {
		if !taken[o.Key] {
			t.Errorf("no kind takes %s", o.Key)
		}
		if _, number := o.Zero().(int64); number && o.span == nil && o.check == nil {
			t.Errorf("%s is a number without bounds", o.Key)
		}
	}
}

// The README names every flag of createnetwork.
func TestEveryFlagIsInTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range AllOptions() {
		if o.Help != "" && !strings.Contains(string(text), "`"+o.Flag()) && !strings.Contains(string(text), "["+o.Flag()) {
			t.Errorf("README.md says nothing of %s", o.Flag())
		}
	}
}
