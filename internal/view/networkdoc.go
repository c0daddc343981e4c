package view

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/iptunnel"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
)

// The JSON of a network has its options by their keys in the cluster file, with _ for -,
// and what follows from them.

// documentFirst and documentLast are the names whose place in the document is kept; other
// options stand between them, in the order of their table.
var (
	documentFirst = []string{
		"name", "type", "subnet", "gateway", "interface", "bridge", "vni", "port", "mtu", "domain", "subnet_len", "direct_routing",
		"topology", "keepalive", "lead", "mesh", "shared", "forced", "move_addresses", "dhcp", "dhcp_server", "docker", "group", "gbp", "masquerade", "isolate",
		"tunnel", "device", "key", "ttl", "as", "mode", "hold", "reflectors", "externals", "settling", "before", "born",
	}
	documentLast = []string{"members", "containers", "state", "pending", "verified", "notes"}
	// documentAlways are there also when they are empty, or false.
	documentAlways = []string{"name", "type", "subnet", "gateway", "gbp", "masquerade", "isolate", "members", "state", "pending"}
	// documentOtherwise are options that the document says in other words.
	documentOtherwise = []string{"before", "external", "shares", "no_masquerade"}
)

// MarshalJSON writes the network as -o json prints it.
func (v *Network) MarshalJSON() ([]byte, error) {
	values, names := v.document()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for i, name := range names {
		out.WriteByte("{,"[min(i, 1)])
		for _, part := range []any{name, values[name]} {
			if err := e.Encode(part); err != nil {
				return nil, fmt.Errorf("print network %s: %w", v.Name, err)
			}
			out.Truncate(out.Len() - 1) // the line's end
			out.WriteByte(':')
		}
		out.Truncate(out.Len() - 1)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// sessionsBefore is who had sessions before a change of that which is not over.
type sessionsBefore struct {
	Mode       string   `json:"mode"`
	Reflectors []string `json:"reflectors"`
}

// Fields are all that can be in the network's JSON: their names in order, a value of each one's
// type, what the options' help says of them, and which are there also when they are empty.
func (*Network) Fields() (names []string, values map[string]any, about map[string]string, always []string) {
	values, names = (&Network{n: &state.Network{Tunnel: true, Before: &state.Sessions{}}}).written()
	about = map[string]string{}
	for _, o := range option.All() {
		about[strings.ReplaceAll(o.Key, "-", "_")] = strings.ReplaceAll(cmp.Or(o.Help, o.Set), "`", "")
	}
	return names, values, about, documentAlways
}

// document is what the network's JSON says, and in which order.
func (v *Network) document() (values map[string]any, names []string) {
	values, names = v.written()
	return values, slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(documentAlways, name) && empty(values[name]) })
}

// written is document with what is empty, too.
func (v *Network) written() (values map[string]any, names []string) {
	values = map[string]any{}
	for _, o := range option.All() {
		name := strings.ReplaceAll(o.Key, "-", "_")
		if slices.Contains(documentOtherwise, name) {
			continue
		}
		names = append(names, name)
		values[name] = o.Value(v.n)
	}
	maps.Copy(values, map[string]any{
		"name": v.Name, "type": v.Type, "subnet": v.Subnet, "gateway": v.Gateway, "mtu": v.MTU, "shared": v.Shared, "forced": v.n.Forced, "dhcp_server": v.DHCPServer, "docker": v.n.Docker,
		"masquerade": v.Masquerade, "gbp": v.n.GBP, "isolate": v.n.Isolate, "externals": v.Externals, "move_addresses": v.n.Moves, "settling": v.n.Before != nil, "containers": v.Containers,
		"members": v.Members, "born": v.n.Born, "state": v.State, "pending": v.Pending, "verified": v.Verified, "notes": v.Notes,
	})
	if b := v.n.Before; b != nil {
		values["before"] = sessionsBefore{b.Mode, OrEmpty(b.Reflectors)}
	}
	delete(values, "key")
	delete(values, "ttl")
	if v.n.Tunnel {
		maps.Copy(values, map[string]any{"device": iptunnel.Device(v.Name), "key": v.n.Key, "ttl": iptunnel.OuterTTL(v.n)})
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(documentFirst, name) })
	names = slices.Concat(documentFirst, names, documentLast)
	return values, names
}

// empty says whether a value is what a document leaves out.
func empty(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}
