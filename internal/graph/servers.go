package graph

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/state"
	"github.com/flocknet/flock/internal/view"
)

// serverOf is a server as it is drawn. One that is gone has nothing but its name and address.
func serverOf(c *state.Cluster, views []*view.Network, v *view.Server) *Server {
	s := &Server{Name: v.Name, Says: []string{}, Health: Well}
	w := c.Servers[v.Name]
	where := cmp.Or(v.Underlay, v.Address)
	if where != "" {
		s.Says = append(s.Says, where)
	}
	if w == nil {
		s.Health, s.Says, s.Details = Unknown, append(s.Says, v.State), []string{v.Name + ": " + v.State, "address " + v.Address}
		return s
	}
	if v.State != view.StateReady {
		s.Health, s.Says = Warned, append(s.Says, v.State)
	}
	s.Details = serverDetails(w, v)
	var subnets, roles []string
	if w.Subnet.IsValid() {
		subnets = append(subnets, w.Subnet.Masked().String())
	}
	for _, n := range views {
		for _, m := range n.Members {
			if m.Server != v.Name {
				continue
			}
			subnets = append(append(subnets, m.Subnets...), m.Shared...)
			role := roleOf(c.Networks[n.Name], n, m.Server)
			if role != "" {
				roles = append(roles, role+" of "+n.Name)
			}
			parts := []string{n.Name + " (" + n.Type + "): " + strings.Join(m.Addresses, " ")}
			parts = append(parts, said("member", m.Member), said("at", m.Underlay), said("MTU", number(n.MTU)), said("subnet", m.Subnets...), said("shares", m.Shared...),
				said("key", m.Key), role, said("problem:", m.Problem))
			s.Details = append(s.Details, strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", "), "  "+verdictDetail(n))
			if m.Problem != "" || m.State == view.StateBroken {
				s.Health = Bad
			}
		}
	}
	s.Says = append(s.Says, roles...)
	for i, p := range subnets {
		if !slices.Contains(subnets[:i], p) {
			s.Says = append(s.Says, "subnet "+p)
		}
	}
	for _, a := range w.Attached {
		text := strings.TrimSpace(a.Container + " " + a.Interface + " " + strings.Join(texts(a.Addrs), " "))
		s.Says, s.Details = append(s.Says, text), append(s.Details, "container "+text+said(" on", a.Bridge))
	}
	return s
}

// roleOf is what a member does in a network that others do not.
func roleOf(n *state.Network, v *view.Network, server string) string {
	switch {
	case n.Topology == state.Hub && len(v.Members) > 0 && v.Members[0].Server == server:
		return "hub"
	case slices.Contains(n.Reflectors, server):
		return "reflector"
	case n.DHCP == state.DHCPSingle && v.DHCPServer == server:
		return "DHCP"
	}
	return ""
}

// serverDetails is what is to be read of a server, apart from its networks.
func serverDetails(w *state.Server, v *view.Server) []string {
	out := []string{v.Name + ": " + v.State}
	add := func(text string) {
		if text != "" {
			out = append(out, text)
		}
	}
	add(said("address", v.Address))
	add(said("underlay", strings.TrimSpace(v.Interface+" "+v.Underlay)))
	add(said("MTU", number(v.MTU)))
	if w.Facts != nil {
		add(said("host key", w.Facts.HostKey))
	}
	add(said("endpoint", v.Endpoint))
	if v.NAT {
		add("behind NAT")
	}
	add(said("bridge "+cmp.Or(v.Adopt, "app0"), v.Subnet))
	if w.Confirmed != nil {
		add(fmt.Sprintf("generation %d, confirmed %s UTC", w.Confirmed.Generation, w.Confirmed.Time.UTC().Format("2006-01-02 15:04:05")))
	}
	return out
}

// said is a word with its values; "": there is none.
func said(word string, values ...string) string {
	if text := strings.Join(values, " "); text != "" {
		return word + " " + text
	}
	return ""
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func texts(list []netip.Addr) []string { return view.Texts(list) }
