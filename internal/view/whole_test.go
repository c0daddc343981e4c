package view

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/fill"
	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// leaves calls do with every value of v that has no parts, lists' first elements, and the
// path to it.
func leaves(path string, v reflect.Value, do func(path string, v reflect.Value)) {
	switch v.Interface().(type) {
	case netip.Addr, netip.Prefix, time.Time:
		do(path, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		leaves(path, v.Elem(), do)
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(path+"."+v.Type().Field(i).Name, v.Field(i), do)
		}
	case reflect.Slice:
		leaves(path, v.Index(0), do)
	case reflect.Map:
		for _, key := range v.MapKeys() {
			leaves(path, v.MapIndex(key), do) // a pointer: what it leads to can be changed
		}
	default:
		do(path, v)
	}
}

// other gives v another value.
func other(t *testing.T, v reflect.Value) {
	switch old := v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(old.Next()))
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(old.Addr(), old.Bits()-1)))
	case time.Time:
		v.Set(reflect.ValueOf(old.Add(time.Hour)))
	default:
		switch {
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "z")
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.CanUint():
			v.SetUint(v.Uint() + 1)
		case v.CanInt():
			v.SetInt(v.Int() + 1)
		default:
			t.Fatalf("nobody says what another %s is", v.Type())
		}
	}
}

// whole fails for every key of a record that print does not show: another value there
// changes nothing of what it prints. otherwise are paths of keys that are kept back, and why.
func whole[T any](t *testing.T, record func() *T, print func(*T) any, otherwise map[string]string) {
	t.Helper()
	text := func(v *T) string {
		out, err := json.Marshal(print(v))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := text(record())
	var paths []string
	leaves("", reflect.ValueOf(record()).Elem(), func(path string, _ reflect.Value) { paths = append(paths, path) })
	for _, path := range paths {
		r := record()
		leaves("", reflect.ValueOf(r).Elem(), func(at string, v reflect.Value) {
			if at == path {
				other(t, v)
			}
		})
		if shown := text(r) != before; shown == (otherwise[path] != "") {
			t.Errorf("%s: shown %v, kept back %q", path, shown, otherwise[path])
		}
	}
	if len(paths) < 20 {
		t.Errorf("only %d keys: %s", len(paths), strings.Join(paths, " "))
	}
}

// TestServerIsShownWhole: listservers NAME -o json has every key that the file has of a
// server.
func TestServerIsShownWhole(t *testing.T) {
	record := func() *state.Server {
		s := &state.Server{}
		fill.All(t, s)
		return s
	}
	whole(t, record, func(s *state.Server) any {
		c := &state.Cluster{Servers: map[string]*state.Server{"s1": s}}
		return Detail(c, nil, Servers(c, nil)[0])
	}, nil)
}

// TestNetworkIsShownWhole: listnetworks NAME -o json has every key that the file has of a
// network, and what follows from them.
func TestNetworkIsShownWhole(t *testing.T) {
	record := func(tunnel bool) func() *state.Network {
		return func() *state.Network {
			n := &state.Network{}
			fill.All(t, n)
			n.Type, n.Tunnel, n.Members = "vxlan", tunnel, []string{"key", "s2"}
			if tunnel {
				n.Type = "ipip"
			}
			n.Shares = []string{"key:10.1.0.0/24", "s2:10.2.0.0/24"}
			return n
		}
	}
	print := func(n *state.Network) any {
		c := &state.Cluster{Servers: map[string]*state.Server{}, Networks: map[string]*state.Network{"n1": n}}
		compiled := &ground.Compiled{Hosts: map[string]*spec.Host{}}
		for _, m := range n.Members {
			c.Servers[ground.ServerOf(m)] = &state.Server{}
			compiled.Hosts[ground.ServerOf(m)] = &spec.Host{}
		}
		return Networks(c, compiled, nil)[0]
	}
	keptBack := map[string]string{
		".NoMasq":             "tunnels do not masquerade",
		".Externals.Password": "it names a file with a secret: that there is one is shown",
	}
	whole(t, record(true), print, keptBack)
	// Only tunnels have a key and a TTL.
	delete(keptBack, ".NoMasq")
	keptBack[".Key"], keptBack[".TTL"] = "of a tunnel", "of a tunnel"
	whole(t, record(false), print, keptBack)
}

// TestMembershipIsTheNetworks: what a server's listing has of a membership is all that
// the network's has.
func TestMembershipIsTheNetworks(t *testing.T) {
	m := memberView{}
	fill.All(t, &m)
	m.Server = "s1"
	c := &state.Cluster{Servers: map[string]*state.Server{"s1": {}}}
	d := Detail(c, []*Network{{Name: "n1", Type: "vxlan", Members: []memberView{m}}}, Servers(c, nil)[0])
	have, want := asMap(t, d.Memberships[0]), asMap(t, m)
	for key, value := range want {
		if fmt.Sprint(have[key]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, not %v", key, have[key], value)
		}
	}
}

func asMap(t *testing.T, v any) map[string]any {
	t.Helper()
	data, err := json.Marshal(v)
	out := map[string]any{}
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}
