package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Network is a network as listnetworks prints it.
type Network struct {
	Name       string
	Type       string
	Subnet     []string
	Gateway    []string // the containers' default gateway, the same on every member
	MTU        int      // of the containers, bytes
	Shared     []string // SERVER:CIDR
	DHCPServer string
	Masquerade bool
	Externals  []externalView
	Containers []networkContainer

	Members []memberView // in the order they joined
	State   string       // ready, pending, empty, broken
	Pending []string     // servers
	Notes   []string
	dated   []string // the first of Notes, with what to do about their age

	Verified *state.Verdict // nil: nothing was tried yet

	n       *state.Network // what stands in its JSON besides (networkdoc.go)
	options []string
	kind    *network.Kind
}

// externalView is a router that a member of a BGP network talks to.
type externalView struct {
	Server      string   `json:"server"`
	Address     string   `json:"address"`
	AS          uint32   `json:"as"`
	Password    bool     `json:"password"` // there is one
	Multihop    int      `json:"multihop,omitempty"`
	BFD         int      `json:"bfd,omitempty"` // milliseconds between packets
	TTLSecurity bool     `json:"ttl_security,omitempty"`
	MaxPrefixes int      `json:"max_prefixes,omitempty"`
	Accept      []string `json:"accept,omitempty"`
	Announce    []string `json:"announce,omitempty"`
	Force       bool     `json:"force,omitempty"`
	Backup      bool     `json:"backup,omitempty"`
	Shutdown    bool     `json:"shutdown,omitempty"`
	LocalPref   uint32   `json:"local_pref,omitempty"`
	MED         uint32   `json:"med,omitempty"`
	Prepend     int      `json:"prepend,omitempty"`
	Communities []string `json:"communities,omitempty"`
}

type memberView struct {
	Server    string   `json:"server"`
	Member    string   `json:"member"` // as it was added
	Interface string   `json:"interface,omitempty"`
	Underlay  string   `json:"underlay,omitempty"`  // address
	Addresses []string `json:"addresses"`           // its own in the network
	Subnets   []string `json:"subnets,omitempty"`   // pools: what it was dealt, per subnet of the network
	HandsOut  []string `json:"hands_out,omitempty"` // IPv4 addresses for containers: FIRST-LAST
	Direct    []string `json:"direct,omitempty"`    // direct routing: members that it reaches without encapsulation
	MAC       string   `json:"mac,omitempty"`       // vxlan-l3: of its VXLAN device
	Shared    []string `json:"shared,omitempty"`    // container subnets behind it
	Key       string   `json:"key,omitempty"`       // public, of its WireGuard device
	Mesh      string   `json:"mesh,omitempty"`      // l2: its address in the WireGuard mesh
	ID        uint16   `json:"id,omitempty"`        // its number in the network
	Blocks    []string `json:"blocks,omitempty"`    // distributed DHCP: what it has of the subnet
	Docker    string   `json:"docker,omitempty"`    // what Docker and Podman hand out there
	Full      bool     `json:"full,omitempty"`      // all addresses that it hands out were leased
	State     string   `json:"state"`               // ready, pending, broken
	Problem   string   `json:"problem,omitempty"`   // why it cannot take its part
}

func (m memberView) text() string {
	if m.Problem != "" {
		return m.State + ": " + m.Problem
	}
	return m.State
}

// members are as they were added; at most most of them, 0: all.
func (v *Network) members(most int) string {
	var out []string
	for _, m := range v.Members {
		if most > 0 && len(out) == most {
			out = append(out, fmt.Sprintf("+%d", len(v.Members)-most))
			break
		}
		out = append(out, m.Member)
	}
	return strings.Join(out, " ")
}

func (v *Network) stateText(most int) string {
	if v.State != StatePending {
		return v.State
	}
	names := v.Pending
	if most > 0 && len(names) > most {
		names = append(slices.Clone(names[:most]), fmt.Sprintf("+%d", len(names)-most))
	}
	return v.State + " " + strings.Join(names, " ")
}

// Networks gathers what the file and the compiled specs say about every
// network, by name.
func Networks(c *state.Cluster, compiled *ground.Compiled, pending []string) []*Network {
	problem := map[[2]string]string{}
	for _, p := range compiled.Problems {
		problem[[2]string{p.Server, p.Network}] = p.Err.Error()
	}
	out := []*Network{}
	for _, name := range slices.SortedFunc(maps.Keys(c.Networks), screen.ByName) {
		n := c.Networks[name]
		v := &Network{
			Name: name, Type: n.Type, Subnet: Texts(n.Subnets), Gateway: []string{}, MTU: n.MTU, DHCPServer: cmp.Or(ground.DHCPServer(n), n.DHCPServer),
			Shared: n.Shares, n: n, kind: network.KindOf(n),
			Masquerade: network.KindOf(n).Masquerades(n),
			Externals:  externals(n), Containers: containersOn(c, n.Bridge), Members: []memberView{}, State: StateReady, Pending: []string{},
		}
		for _, note := range compiled.Notes {
			if note.Network == name {
				v.Notes, v.dated = append(v.Notes, note.Text), append(v.dated, note.Dated())
			}
		}
		for _, text := range n.Members {
			m := v.member(n, text, compiled)
			m.Problem = problem[[2]string{m.Server, name}]
			if _, found := slices.BinarySearch(pending, m.Server); found {
				m.State = StatePending
				v.Pending = append(v.Pending, m.Server)
			}
			v.Members = append(v.Members, m)
		}
		switch {
		case len(v.Members) == 0:
			v.State = stateEmpty
		case len(v.Pending) > 0:
			v.State = StatePending
		}
		v.options = Options(n, v.MTU)
		out = append(out, v)
	}
	return out
}

// networkContainer is an interface that a container gets on the network's bridge.
type networkContainer struct {
	Server string `json:"server"`
	serverContainer
}

// containersOn are the interfaces that containers get on a bridge; "": there is none.
func containersOn(c *state.Cluster, bridge string) []networkContainer {
	var out []networkContainer
	for _, server := range c.ServerNames() {
		for _, a := range c.Servers[server].Attached {
			if bridge != "" && a.Bridge == bridge {
				out = append(out, networkContainer{server, serverContainer{a.Container, a.Interface, a.Bridge, Texts(a.Addrs), a.Moved, a.MAC}})
			}
		}
	}
	return out
}

// externals are the routers that members of a BGP network talk to.
func externals(n *state.Network) []externalView {
	var out []externalView
	for _, e := range n.Externals {
		out = append(out, externalView{
			Server: e.Server, Address: e.Address.String(), AS: e.AS, Password: e.Password != "", Multihop: e.Multihop,
			BFD: e.BFD, TTLSecurity: e.TTLSecurity, MaxPrefixes: e.MaxPrefixes, Accept: e.Accept, Announce: e.Announce, Force: e.Force,
			Backup: e.Backup, Shutdown: e.Shutdown, LocalPref: e.LocalPref, MED: e.MED, Prepend: e.Prepend, Communities: e.Communities,
		})
	}
	return out
}

// member reads a member's part from its server's spec, and what all members
// share from the first that has any.
func (v *Network) member(n *state.Network, text string, compiled *ground.Compiled) memberView {
	h := compiled.Hosts[ground.ServerOf(text)]
	m := memberView{Server: ground.ServerOf(text), Member: text, Addresses: []string{}, State: StateReady}
	if a := n.Allocated[m.Server]; a != nil {
		m.Addresses, m.Key, m.Subnets = Texts(a.Addrs), a.Key, Texts(a.Subnets)
		m.ID, m.Blocks, m.Full = a.ID, Texts(a.Pool), a.Full
		if a.Docker.IsValid() {
			m.Docker = a.Docker.String()
		}
		if a.Mesh.IsValid() {
			m.Mesh = a.Mesh.String()
		}
	}
	for _, text := range n.Shares {
		if share, err := state.ParseShare(text); err == nil && share.Server == m.Server {
			m.Shared = append(m.Shared, share.Subnet.String())
		}
	}
	if p, known := compiled.Places[ground.Membership{Server: m.Server, Network: v.Name}]; known {
		m.Interface = p.Interface
		if p.Addr.IsValid() {
			m.Underlay = p.Addr.String()
		}
	}
	m.Direct = compiled.Direct[ground.Membership{Server: m.Server, Network: v.Name}]
	for _, l := range h.Links {
		below := n.Bridge != "" && l.Kind == spec.WireGuard
		if l.Network == v.Name && !below && v.MTU == 0 {
			v.MTU = l.MTU
		}
		if l.Network == v.Name && v.kind.Shown("MAC") && l.Kind == spec.VXLAN {
			m.MAC = l.MAC
		}
	}
	for _, d := range h.DHCPs {
		for _, r := range d.Ranges {
			if d.Network == v.Name && r.First.Is4() {
				m.HandsOut = append(m.HandsOut, r.First.String()+"-"+r.Last.String())
			}
		}
	}
	for _, e := range h.Envs {
		if e.Network == v.Name {
			v.MTU = e.MTU
		}
	}
	for _, g := range h.Gateways {
		if g.Network == v.Name && len(v.Gateway) == 0 {
			v.Gateway = Texts(g.Addrs)
		}
	}
	return m
}

// Texts are the values as text; never nil.
func Texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

// Broken marks a network whose entry in the file makes no sense.
func (v *Network) Broken(err error) {
	v.State, v.Pending = StateBroken, []string{}
	v.Notes = append(v.Notes, err.Error())
	for i := range v.Members {
		v.Members[i].State = StateBroken
	}
}
