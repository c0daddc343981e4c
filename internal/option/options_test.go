package option

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/state"
)

// Every key that a file can have in a network is in the table of options, and every option
// is a key; what is dealt out, who is a member, whose addresses move and where Docker
// has it are none.
func TestEveryKeyIsAnOption(t *testing.T) {
	none := []string{"type", "born", "members", "move-addresses", "docker", "forced", "allocated"}
	keys := map[string]bool{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[state.Network]()) {
		key, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		keys[key] = true
		if slices.Contains(none, key) {
			continue
		}
		at := slices.IndexFunc(All(), func(o Option) bool { return o.Key == key })
		if at < 0 {
			t.Errorf("%s of a network's file is not in the table of options", key)
			continue
		}
		n := &state.Network{}
		v := reflect.ValueOf(n).Elem().FieldByIndex(field.Index)
		if reflect.ValueOf(All()[at].field(n)).Pointer() != v.Addr().Pointer() {
			t.Errorf("the option %s is another key's", key)
		}
	}
	for _, o := range All() {
		if !keys[o.Key] {
			t.Errorf("the option %s is no key of a file", o.Key)
		}
	}
}

// The pages of docs name every flag of createnetwork and setnetwork.
func TestEveryFlagIsInThePages(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	var text []byte
	for _, page := range pages {
		page, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, page...)
	}
	for _, o := range All() {
		if o.Settable() && !strings.Contains(string(text), "`"+o.Flag()) && !strings.Contains(string(text), "["+o.Flag()) {
			t.Errorf("docs say nothing of %s", o.Flag())
		}
	}
}

// A number has bounds.
func TestNumbersHaveBounds(t *testing.T) {
	for _, o := range All() {
		if _, number := o.Zero().(int64); number && o.span == nil && o.check == nil {
			t.Errorf("%s is a number without bounds", o.Key)
		}
	}
}
