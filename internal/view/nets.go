package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Net is an interface of a container as listnet prints it.
type Net struct {
	Container string   `json:"container,omitempty"` // absent: not known
	Interface string   `json:"interface,omitempty"`
	Port      string   `json:"port,omitempty"` // its other end on the server
	Bridge    string   `json:"bridge,omitempty"`
	Network   string   `json:"network,omitempty"` // whose the bridge is
	MAC       string   `json:"mac,omitempty"`
	Addresses []string `json:"addresses"`
	Owner     string   `json:"owner,omitempty"` // the cluster of flock that attached it
	User      string   `json:"user,omitempty"`  // whose the container is; absent: root's
	State     string   `json:"state"`           // attached, awaited, foreign, none, stopped, user
}

// States of interfaces.
const (
	netAttached = "attached" // by flock
	netAwaited  = "awaited"  // the file has it, the server not yet
	netForeign  = "foreign"
	netNone     = "none" // the container has no interface
	netStopped  = "stopped"
	netUsers    = "user" // it is not root's: flock does nothing in it
)

// netStates are those of what was found, by whether its container is stopped, and whether flock has it.
var netStates = map[bool]map[bool]string{false: {false: netForeign, true: netAttached}, true: {false: netStopped, true: netAwaited}}

// Nets are the interfaces that were found, and those of the file that were not.
func Nets(c *state.Cluster, server string, found []spec.Container) []Net {
	out := []Net{}
	seen := map[string]bool{}
	for _, f := range found {
		for _, i := range f.Interfaces {
			v := Net{
				Container: f.Name, Interface: i.Name, Port: i.Port, Bridge: i.Bridge, Network: segment.OfBridge(c, server, i.Bridge),
				MAC: i.MAC, Addresses: OrEmpty(addressTexts(i.Addrs)), Owner: i.Owner, State: netStates[f.Stopped][i.Owner != ""],
			}
			seen[f.Name+" "+i.Name] = i.Owner == c.Name
			out = append(out, v)
		}
		if len(f.Interfaces) == 0 {
			v := Net{Container: f.Name, Addresses: []string{}, State: netNone}
			switch {
			case f.User != "":
				v.State, v.User = netUsers, f.User
			case f.Stopped:
				v.State = netStopped
			}
			out = append(out, v)
		}
	}
	if s := c.Servers[server]; s != nil {
		for _, at := range s.Attached {
			if !seen[at.Container+" "+at.Interface] {
				out = append(out, Net{
					Container: at.Container, Interface: at.Interface, Bridge: at.Bridge, Network: segment.OfBridge(c, server, at.Bridge),
					Addresses: OrEmpty(addressTexts(at.Addrs)), Owner: c.Name, State: netAwaited,
				})
			}
		}
	}
	slices.SortStableFunc(out, func(x, y Net) int {
		if (x.Container == "") != (y.Container == "") { // those that are not known come last
			return strings.Compare(y.Container, x.Container)
		}
		if x.Container != y.Container {
			return screen.ByName(x.Container, y.Container)
		}
		return screen.ByName(x.Interface+x.Port, y.Interface+y.Port)
	})
	return out
}

// NetTable is nets as a table; cluster is the one whose file it is. Whole shows the ports too.
func NetTable(views []Net, cluster string, whole bool) *screen.Table {
	t := &screen.Table{Whole: whole, Head: []string{"CONTAINER", "INTERFACE", "BRIDGE", "NETWORK", "MAC", "ADDRESSES", "BY"}}
	if whole {
		t.Head = append(t.Head, "PORT")
	}
	for _, v := range views {
		by := "-"
		switch {
		case v.State == netNone:
			by = ""
		case v.State == netStopped:
			by = netStopped
		case v.State == netUsers:
			by = "user " + v.User
		case v.State == netAwaited:
			by = "flock, " + netAwaited
		case v.Owner == cluster:
			by = "flock"
		case v.Owner != "":
			by = "flock, cluster " + v.Owner
		}
		name, iface := v.Container, v.Interface
		if name == "" {
			name, iface = "-", v.Port
		}
		row := []string{name, iface, v.Bridge, v.Network, v.MAC, strings.Join(v.Addresses, " "), by}
		if whole {
			row = append(row, v.Port)
		}
		t.Add(row...)
	}
	return t
}

func addressTexts[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}
