package spec_test

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/flocknet/flock/internal/fill"
	"github.com/flocknet/flock/internal/spec"
)

// A device that has another name for a while has it in everything that names it.
func TestRenamedNamesEverything(t *testing.T) {
	h := &spec.Host{}
	for i := range reflect.TypeFor[spec.Host]().NumField() {
		if field := reflect.ValueOf(h).Elem().Field(i); field.Kind() == reflect.Slice {
			list := reflect.MakeSlice(field.Type(), 1, 1)
			fill.All(t, list.Index(0).Addr().Interface(), spec.NewAddrSet(netip.MustParseAddr("10.0.4.1")))
			field.Set(list)
		}
	}
	named := func(h *spec.Host) []string {
		var out []string
		for i := range reflect.TypeFor[spec.Host]().NumField() {
			list := reflect.ValueOf(h).Elem().Field(i)
			if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct {
				continue
			}
			for j := range list.Index(0).NumField() {
				name := list.Type().Elem().Field(j).Name
				if f := list.Index(0).Field(j); f.Kind() == reflect.String && slices.Contains([]string{"Link", "Dev", "Bridge", "Uplink", "Master"}, name) {
					out = append(out, reflect.TypeFor[spec.Host]().Field(i).Name+"."+name+" "+f.String())
					f.SetString("dev0")
				}
			}
		}
		return out
	}
	named(h) // sets them
	h.Links[0].Name = "dev0"
	now := h.Renamed("dev0", "dev1")
	for _, at := range named(now) {
		// A container's interface and what follows from services stays where it is.
		if field := strings.Fields(at); field[1] != "dev1" && !slices.Contains([]string{"DHCPs.Bridge", "Attached.Bridge", "Dockers.Bridge", "Envs.Link", "Claims.Device"}, field[0]) {
			t.Errorf("%s is %s", field[0], field[1])
		}
	}
	if now.Links[0].Name != "dev1" || h.Links[0].Name != "dev0" {
		t.Errorf("the link is %s, it was %s", now.Links[0].Name, h.Links[0].Name)
	}
}

func TestLiveRename(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-57-amd64": false, "5.15.0": false, "4.19": false, "6.2.0": true, "6.2-rc1": true, "6.12.1+deb13": true, "7.0": true, "6.1-rc2": false, "": true,
	} {
		if have := spec.LiveRename(release); have != want {
			t.Errorf("%q: want %v, have %v", release, want, have)
		}
	}
}
