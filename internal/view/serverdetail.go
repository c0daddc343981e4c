package view

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
)

// ServerDetail is everything about one server, as listservers NAME prints it.
type ServerDetail struct {
	Server
	Machine     string            `json:"machine,omitempty"`  // machine id
	HostKey     string            `json:"host_key,omitempty"` // SHA256:…
	Interfaces  []serverInterface `json:"interfaces"`         // that networks can use
	Memberships []membership      `json:"memberships"`
	Containers  []serverContainer `json:"containers"` // interfaces that containers get
}

type serverInterface struct {
	Name      string   `json:"name"`
	MTU       int      `json:"mtu"` // bytes
	Addresses []string `json:"addresses"`
}

// membership is what a server is and has in a network.
type membership struct {
	Network   string   `json:"network"`
	Type      string   `json:"type"`
	Member    string   `json:"member"`              // as written
	Interface string   `json:"interface,omitempty"` // underlay
	Underlay  string   `json:"underlay,omitempty"`
	Addresses []string `json:"addresses"` // its own
	Subnets   []string `json:"subnets"`   // its containers'
	Shares    []string `json:"shares"`
	Key       string   `json:"key,omitempty"` // of its WireGuard device, public
}

type serverContainer struct {
	Container string   `json:"container"`
	Interface string   `json:"interface"`
	Bridge    string   `json:"bridge,omitempty"`
	Addresses []string `json:"addresses"`
}

// Detail is everything about the server of v, which the file has.
func Detail(c *state.Cluster, compiled *ground.Compiled, v Server) *ServerDetail {
	s := c.Servers[v.Name]
	out := &ServerDetail{Server: v, Interfaces: []serverInterface{}, Memberships: []membership{}, Containers: []serverContainer{}}
	if s.Facts != nil {
		out.Machine, out.HostKey = s.Facts.Machine, s.Facts.HostKey
		for _, i := range s.Facts.Interfaces {
			out.Interfaces = append(out.Interfaces, serverInterface{i.Name, i.MTU, Texts(i.Addrs)})
		}
	}
	for _, name := range v.Networks {
		out.Memberships = append(out.Memberships, membershipOf(c, compiled, name, v.Name))
	}
	for _, a := range s.Attached {
		out.Containers = append(out.Containers, serverContainer{a.Container, a.Interface, a.Bridge, Texts(a.Addrs)})
	}
	return out
}

func membershipOf(c *state.Cluster, compiled *ground.Compiled, name, server string) membership {
	n := c.Networks[name]
	m := membership{Network: name, Type: n.Type, Addresses: []string{}, Subnets: []string{}, Shares: []string{}}
	for _, text := range n.Members {
		if ground.ServerOf(text) == server {
			m.Member = text
		}
	}
	if at := compiled.Places[ground.Membership{Server: server, Network: name}]; at.Addr.IsValid() {
		m.Interface, m.Underlay = at.Interface, at.Addr.String()
	}
	if a := n.Allocated[server]; a != nil {
		m.Key = a.Key
		for _, addr := range append(a.Addrs[:len(a.Addrs):len(a.Addrs)], a.Mesh) {
			if addr.IsValid() {
				m.Addresses = append(m.Addresses, addr.String())
			}
		}
		m.Subnets = append(m.Subnets, Texts(valid(a.Subnets))...)
	}
	for _, text := range n.Shares {
		if share, found := strings.CutPrefix(text, server+":"); found {
			m.Shares = append(m.Shares, share)
		}
	}
	return m
}

func valid(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// PrintServer prints everything about a server.
func (a *Page) PrintServer(v *ServerDetail) error {
	var words []string
	for _, w := range [][2]string{
		{"", v.target()},
		{"key file ", v.Identity},
		{"through ", v.Jump},
		{"linux/", v.Arch},
		{"", v.Init},
		{"underlay ", strings.TrimSpace(v.Interface + " " + v.Underlay)},
		{"mtu ", digits(v.MTU)},
		{"endpoint ", v.endpoint()},
		{"own subnet ", v.Subnet},
		{"wireguard ", v.WireGuard},
		{"host key ", v.HostKey},
		{"machine ", v.Machine},
	} {
		if w[1] != "" {
			words = append(words, w[0]+w[1])
		}
	}
	if v.Generation > 0 {
		words = append(words, "confirmed generation "+strconv.FormatUint(v.Generation, 10)+" at "+v.Confirmed)
	}
	if err := a.Print(a.Out, "%s: %s\n%s\n", v.Name, v.State, strings.Join(words, ", ")); err != nil {
		return err
	}
	t := &screen.Table{Whole: a.Wide(), Head: []string{"DEVICE", "MTU", "ADDRESSES"}}
	for _, i := range v.Interfaces {
		t.Add(i.Name, digits(i.MTU), strings.Join(i.Addresses, " "))
	}
	m := &screen.Table{Whole: a.Wide(), Head: []string{"NETWORK", "TYPE", "INTERFACE", "UNDERLAY", "ADDRESSES", "SUBNETS", "SHARED"}}
	for _, n := range v.Memberships {
		m.Add(n.Network, n.Type, n.Interface, n.Underlay, strings.Join(n.Addresses, " "), strings.Join(n.Subnets, " "), strings.Join(n.Shares, " "))
	}
	k := &screen.Table{Whole: a.Wide(), Head: []string{"CONTAINER", "INTERFACE", "BRIDGE", "ADDRESSES"}}
	for _, c := range v.Containers {
		k.Add(c.Container, c.Interface, c.Bridge, strings.Join(c.Addresses, " "))
	}
	for _, part := range []struct {
		rows  int
		table *screen.Table
	}{{len(v.Interfaces), t}, {len(v.Memberships), m}, {len(v.Containers), k}} {
		if part.rows == 0 {
			continue
		}
		if err := part.table.Write(a.Out, a.TableWidth()); err != nil {
			return err
		}
	}
	return nil
}
