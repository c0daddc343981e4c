package view

import (
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/screen"
	"github.com/flocknet/flock/internal/state"
)

// ServerDetail is everything about one server, as listservers NAME prints it.
type ServerDetail struct {
	Server
	Machine     string            `json:"machine,omitempty"`  // machine id
	HostKey     string            `json:"host_key,omitempty"` // SHA256:…
	Born        string            `json:"born,omitempty"`     // the name that its MAC addresses are made of, if not its name
	Spec        string            `json:"spec,omitempty"`     // the sum of what it confirmed last
	Wanted      string            `json:"wanted,omitempty"`   // the interface or address that networks use by default, if it was named
	Default4    *defaultRoute     `json:"default4,omitempty"`
	Default6    *defaultRoute     `json:"default6,omitempty"`
	Place       string            `json:"agentPlace,omitempty"` // of the agent's programs, if it is not the usual one
	Others      []string          `json:"others"`               // subnets there that are not flock's
	Routed      []string          `json:"routed"`               // those of Others that are reached by a gateway
	Local       []string          `json:"local"`                // those that are on devices that networks do not use
	Awaited     []string          `json:"awaited"`              // those of libvirt's networks
	Cloud       []state.CloudNIC  `json:"cloud,omitempty"`      // its interfaces, as the cloud that it is in calls them
	Interfaces  []serverInterface `json:"interfaces"`           // that networks can use
	Memberships []membership      `json:"memberships"`
	Containers  []serverContainer `json:"containers"` // interfaces that containers get
}

type serverInterface struct {
	Name      string   `json:"name"`
	MTU       int      `json:"mtu"` // bytes
	Addresses []string `json:"addresses"`
	Direct    []string `json:"direct,omitempty"` // what it reaches there without a gateway besides its own networks
}

type defaultRoute struct {
	Interface string `json:"interface"`
	Metric    int    `json:"metric"`
}

// membership is what a server is and has in a network, as the network's listing has it.
type membership struct {
	Network string `json:"network"`
	Type    string `json:"type"`
	memberView
	Shares []string `json:"shares"`
}

type serverContainer struct {
	Container string   `json:"container"`
	Interface string   `json:"interface"`
	Bridge    string   `json:"bridge,omitempty"`
	Addresses []string `json:"addresses"`
	Moved     bool     `json:"moved,omitempty"` // it is the container's own interface
	MAC       string   `json:"mac,omitempty"`   // by which a guest's own interface is known
}

// Detail is everything about the server of v, which the file has; networks are all.
func Detail(c *state.Cluster, networks []*Network, v Server) *ServerDetail {
	s := c.Servers[v.Name]
	out := &ServerDetail{
		Server: v, Born: s.Born, Wanted: s.Interface, Interfaces: []serverInterface{}, Memberships: []membership{}, Containers: []serverContainer{},
		Others: []string{}, Routed: []string{}, Local: []string{}, Awaited: []string{},
	}
	if s.Confirmed != nil {
		out.Spec = s.Confirmed.Sum
	}
	if s.Facts != nil {
		out.learned(s.Facts)
	}
	for _, n := range networks {
		for _, m := range n.Members {
			if m.Server == v.Name {
				out.Memberships = append(out.Memberships, membership{n.Name, n.Type, m, OrEmpty(m.Shared)})
			}
		}
	}
	for _, a := range s.Attached {
		out.Containers = append(out.Containers, serverContainer{a.Container, a.Interface, a.Bridge, Texts(a.Addrs), a.Moved, a.MAC})
	}
	return out
}

// learned takes over what the server said about itself.
func (v *ServerDetail) learned(f *state.Facts) {
	v.Machine, v.HostKey, v.Place, v.Cloud = f.Machine, f.HostKey, f.Place, f.Cloud
	v.Others, v.Routed, v.Local, v.Awaited = Texts(f.Prefixes), Texts(f.Routed), Texts(f.Local), Texts(f.Awaited)
	if f.Default4 != "" {
		v.Default4 = &defaultRoute{f.Default4, f.Metric4}
	}
	if f.Default6 != "" {
		v.Default6 = &defaultRoute{f.Default6, f.Metric6}
	}
	for _, i := range f.Interfaces {
		v.Interfaces = append(v.Interfaces, serverInterface{i.Name, i.MTU, Texts(i.Addrs), Texts(i.Direct)})
	}
}

// cloudText is where in a cloud a server is.
func cloudText(list []state.CloudNIC) string {
	if len(list) == 0 {
		return ""
	}
	return ", in the cloud " + strings.Join(strings.Fields(list[0].ID+" "+list[0].VPC+" "+list[0].Region), " ")
}

// text is the route in words; "" if there is none.
func (r *defaultRoute) text() string {
	if r == nil {
		return ""
	}
	return "by " + r.Interface + " with metric " + strconv.Itoa(r.Metric)
}

// PrintServer prints everything about a server.
func (a *Page) PrintServer(v *ServerDetail) error {
	var words []string
	for _, w := range [][2]string{
		{"", v.target()},
		{"key file ", v.Identity},
		{"through ", v.Jump},
		{"linux/", v.Arch},
		{"agent in ", v.Place},
		{"", v.Init},
		{"underlay ", strings.TrimSpace(v.Interface + " " + v.Underlay)},
		{"mtu ", digits(v.MTU)},
		{"endpoint ", v.endpoint()},
		{"own subnet ", v.ownSubnet()},
		{"connected through ", v.Connected},
		{"wireguard ", v.WireGuard},
		{"host key ", v.HostKey},
		{"machine ", v.Machine + cloudText(v.Cloud)},
		{"MAC addresses of the name ", v.Born},
		{"default route of IPv4 ", v.Default4.text()},
		{"default route of IPv6 ", v.Default6.text()},
	} {
		if w[1] != "" {
			words = append(words, w[0]+w[1])
		}
	}
	if v.Generation > 0 {
		words = append(words, "confirmed generation "+strconv.FormatUint(v.Generation, 10)+" at "+v.Confirmed)
	}
	format, args := "%s: %s\n%s\n", []any{v.Name, v.State, strings.Join(words, ", ")}
	if len(v.Others) > 0 {
		format, args = format+"subnets of others: %s\n", append(args, strings.Join(v.Others, " "))
	}
	if err := a.Print(a.Out, format, args...); err != nil {
		return err
	}
	t := &screen.Table{Whole: a.Wide(), Head: []string{"DEVICE", "MTU", "ADDRESSES"}}
	for _, i := range v.Interfaces {
		t.Add(i.Name, digits(i.MTU), strings.Join(i.Addresses, " "))
	}
	m := &screen.Table{Whole: a.Wide(), Head: []string{"NETWORK", "TYPE", "INTERFACE", "UNDERLAY", "ADDRESSES", "SUBNETS", "SHARED", "STATE"}}
	for _, n := range v.Memberships {
		m.Add(n.Network, n.Type, n.Interface, n.Underlay, strings.TrimSpace(strings.Join(n.Addresses, " ")+" "+n.Mesh), strings.Join(n.Subnets, " "), strings.Join(n.Shares, " "), n.text())
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
