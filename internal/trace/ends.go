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
	silent := "" // one that does not answer, and need not be on the way
	for _, server := range servers {
		if e.among != nil && w.t.facts(place{server, ""}).silent {
			silent = server
		} else if list, known := w.list(server); known {
			lists[server] = list
		}
	}
	if len(w.lacks) > 0 {
		return false
	}
	if e.Container != "" {
		return w.locateContainer(e, lists[e.Server])
	}
	for _, server := range servers {
		if f := containerWith(lists[server], e.Addr, ""); f != nil && f.container != "" {
			e.Server, e.Container, e.among = server, f.container, nil
			w.leaveGuest(e)
			return true
		}
	}
	switch {
	case e != &w.t.From || e.Server != "":
		w.silent = silent
		return true // its neighbours will tell
	case silent != "":
		w.lack(Need{Server: silent, containers: true})
		return false
	case len(servers) == 1:
		e.Server, e.among = servers[0], nil
		return true
	}
	w.fail(e.Text, "address", "flock listnetworks "+e.Network, "no server and no container of %s has it", e.Network)
	return false
}

func (w *walker) locateContainer(e *End, list []spec.Container) bool {
	named := containersNamed(list, e.Container)
	switch {
	case len(named) == 0:
		w.fail(e.Server, "container "+e.Container, "flock listnet "+e.Server, "there is none of that name")
		return false
	case len(named) > 1:
		var names []string
		for _, c := range named {
			names = append(names, e.Server+":"+c.Name)
		}
		w.Refusal = several(names, "%s has several containers %s", e.Server, e.Container)
		return false
	}
	c := named[0]
	e.Container = c.Name
	if c.Stopped {
		w.fail(e.Server, "container "+c.Name, "flock listnet "+e.Server, "it does not run")
		return false
	}
	if e.Addr.IsValid() || e == &w.t.From && !spec.IsGuest(c.Name) {
		w.leaveGuest(e)
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
		w.fail(e.String(), "address", listed(*e), "%s", what)
		return false
	}
	e.Network = w.t.placed(e.Addr).Network
	w.leaveGuest(e)
	return true
}

// leaveGuest makes From a host behind its server where it is a guest: nobody but itself knows
// what is inside, and it sends nothing for anybody.
func (w *walker) leaveGuest(e *End) {
	if e == &w.t.From && spec.IsGuest(e.Container) {
		e.Container = ""
	}
}

// nameOf is a container's name without its kind.
func nameOf(container string) string {
	return container[strings.Index(container, "/")+1:]
}

// suits says whether an address of the other end is one that From can reach: in a network
// that it is in; of all, where it is in none.
func (w *walker) suits(a netip.Addr) bool {
	if f := w.t.From; f.Addr.IsValid() && f.Addr.Is4() != a.Is4() {
		return false
	}
	in := w.t.placed(a).Network
	if w.t.only != "" && in != w.t.only {
		return false
	}
	return in == "" && w.t.From.Server == w.t.To.Server || in != "" && ground.HasMember(w.t.c.Networks[in], w.t.From.Server)
}
