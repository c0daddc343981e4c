package trace

import (
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/spec"
)

// locate finds out where an end is, by asking those that may have it.
func (w *walker) locate(e *End) bool {
	servers := e.among
	if e.Server != "" && e.Container != "" {
		servers = []string{e.Server}
	}
	lists := map[string][]spec.Container{}
	for _, server := range servers {
		if list, known := w.list(server); known {
			lists[server] = list
		}
	}
	if len(lists) < len(servers) {
		return false
	}
	if e.Container != "" {
		return w.locateContainer(e, lists[e.Server])
	}
	for _, server := range servers {
		if f := containerWith(lists[server], e.Addr, ""); f != nil && f.container != "" {
			e.Server, e.Container, e.among = server, f.container, nil
			return true
		}
	}
	if e != &w.t.From || e.Server != "" {
		return true // its neighbours will tell
	}
	if len(servers) == 1 {
		e.Server, e.among = servers[0], nil
		return true
	}
	w.fail(e.Text, "address", "flock listnetworks "+e.Network, "no server and no container of %s has it", e.Network)
	return false
}

func (w *walker) locateContainer(e *End, list []spec.Container) bool {
	c := containerNamed(list, e.Container)
	if c == nil {
		w.fail(e.Server, "container "+e.Container, "flock listnet "+e.Server, "there is none of that name")
		return false
	}
	e.Container = c.Name
	if c.Stopped {
		w.fail(e.Server, "container "+c.Name, "flock listnet "+e.Server, "it does not run")
		return false
	}
	if e.Addr.IsValid() || e == &w.t.From {
		return true
	}
	var bare []string
	for _, i := range c.Interfaces {
		for _, a := range i.Addrs {
			if w.suits(a.Addr()) && !e.Addr.IsValid() {
				e.Addr = a.Addr()
			}
		}
		if len(i.Addrs) == 0 {
			bare = append(bare, i.Name)
		}
	}
	if !e.Addr.IsValid() {
		what := "it has no interface"
		if len(bare) > 0 {
			what = ground.JoinWords(bare) + " has no address"
		}
		w.fail(e.String(), "address", "flock listnet "+e.Server+":"+nameOf(c.Name), "%s", what)
		return false
	}
	probe := End{Addr: e.Addr}
	w.t.place(&probe)
	e.Network = probe.Network
	return true
}

func nameOf(container string) string {
	_, name, _ := strings.Cut(container, "/")
	return name
}

// suits says whether an address of the other end is one that From can reach: in a network
// that it is in; of all, where it is in none.
func (w *walker) suits(a netip.Addr) bool {
	if f := w.t.From; f.Addr.IsValid() && f.Addr.Is4() != a.Is4() {
		return false
	}
	e := End{Addr: a}
	w.t.place(&e)
	return e.Network == "" && w.t.From.Server == w.t.To.Server || e.Network != "" && ground.HasMember(w.t.c.Networks[e.Network], w.t.From.Server)
}
