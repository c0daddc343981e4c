package spec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// LiveRename says whether a kernel, by its release (6.1.0-57-amd64), renames devices that are
// up: from 6.2 on (linux dev_change_name).
func LiveRename(release string) bool {
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	m, err := strconv.Atoi(major)
	n, _ := strconv.Atoi(minor)
	return err != nil || m > 6 || m == 6 && n >= 2 // of one without a number nothing is known
}

// Renamed is h with another name of a device, in everything that names it. A container's
// interface and what follows from services stays where it is.
func (h *Host) Renamed(from, to string) *Host {
	out := *h
	v := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		stays := slices.Contains([]string{"DHCPs", "Attached", "Dockers", "Envs", "Claims"}, v.Type().Field(i).Name)
		if list := v.Field(i); list.Kind() == reflect.Slice && !stays {
			rename(list, from, to)
		}
	}
	for i := range out.Sysctls {
		s := &out.Sysctls[i]
		s.Key = strings.ReplaceAll(s.Key, "/"+from+"/", "/"+to+"/")
	}
	return &out
}

// rename changes a name, and those in a list, which is another one then, and in an object. A
// function for each type of object would be 12 KB of the program that every server is sent.
func rename(v reflect.Value, from, to string) {
	switch v.Kind() {
	case reflect.String:
		if v.String() == from {
			v.SetString(to)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			return
		}
		now := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(now, v)
		for i := range now.Len() {
			rename(now.Index(i), from, to)
		}
		v.Set(now)
	case reflect.Struct:
		for i := range v.NumField() {
			if slices.Contains([]string{"Name", "Master", "Link", "Links", "Dev", "Bridge", "Uplink"}, v.Type().Field(i).Name) {
				rename(v.Field(i), from, to)
			}
		}
	}
}
