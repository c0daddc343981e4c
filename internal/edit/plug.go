package edit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Plug is an interface of a container as a command names it.
type Plug struct {
	Server    string
	Container string // NAME or KIND/NAME
	Interface string // "": the next that is free
	Bridge    string
	Addrs     []netip.Addr
	Replace   bool   // one that is there becomes another
	MAC       string // of one that a guest has, and that is to be moved
}

// Record is what the cluster file has for o.
func (o *Plug) Record() state.Attachment {
	return state.Attachment{Container: o.Container, Interface: o.Interface, Bridge: o.Bridge, Addrs: o.Addrs, MAC: o.MAC}
}

// Recorded are the containers of that name that the file has interfaces of, KIND/NAME.
func (o *Plug) Recorded(s *state.Server) []string {
	var out []string
	if s == nil {
		return nil
	}
	for _, a := range s.Attached {
		_, name, _ := strings.Cut(a.Container, "/")
		if (a.Container == o.Container || name == o.Container) && !slices.Contains(out, a.Container) {
			out = append(out, a.Container)
		}
	}
	return out
}

// Choose gives the container its kind, if found has one of its name.
func (o *Plug) Choose(found []string) error {
	switch {
	case strings.Contains(o.Container, "/"):
	case len(found) > 1:
		return hint.Errorf("server "+o.Server, "one of: "+strings.Join(found, ", "), "%s has several containers %s", o.Server, o.Container)
	case len(found) == 1:
		o.Container = found[0]
	}
	return nil
}

// free is the first of eth1, eth2 … that neither the file nor the container has.
func (o *Plug) free(s *state.Server, there []spec.ContainerInterface) string {
	for i := 1; ; i++ {
		name := "eth" + strconv.Itoa(i)
		taken := slices.ContainsFunc(there, func(c spec.ContainerInterface) bool { return c.Name == name })
		if !taken && (s == nil || segment.AttachedAt(s, o.Container, name) < 0) {
			return name
		}
	}
}

// Found completes o with what its server has.
func (o *Plug) Found(s *state.Server, list []spec.Container) error {
	var names []string
	var there []spec.ContainerInterface
	for _, c := range list {
		_, name, _ := strings.Cut(c.Name, "/")
		if c.Name == o.Container || c.Name != "" && name == o.Container {
			names, there = append(names, c.Name), c.Interfaces
		}
	}
	if err := o.Choose(names); err != nil {
		return err
	}
	if !strings.Contains(o.Container, "/") {
		return hint.Errorf("server "+o.Server, "flock listnet "+o.Server+"; one that is yet to come is named with its kind: "+o.Server+":"+spec.NetNS+"/"+o.Container,
			"there is no container %s on %s", o.Container, o.Server)
	}
	if o.Interface == "" {
		o.Interface = o.free(s, there)
	}
	return o.know(s, there)
}

// know completes o with the MAC of the guest's interface that is to be moved.
func (o *Plug) know(s *state.Server, there []spec.ContainerInterface) error {
	at := slices.IndexFunc(there, func(i spec.ContainerInterface) bool { return i.Name == o.Interface })
	switch {
	case !spec.IsGuest(o.Container) || !o.Replace || at < 0 || s != nil && segment.AttachedAt(s, o.Container, o.Interface) >= 0:
		return nil
	case there[at].Owner != "":
		return hint.Errorf("server "+o.Server, "flock listnet "+o.Server+":"+o.Container, "%s of %s is of cluster %s", o.Interface, o.Container, there[at].Owner)
	}
	o.MAC = there[at].MAC
	return nil
}

// Check refuses what can be seen to be wrong before the server is asked anything.
func (o *Plug) Check(c *state.Cluster) error {
	like := *o
	if !strings.Contains(like.Container, "/") {
		like.Container = spec.NetNS + "/" + like.Container
	}
	if like.Interface == "" {
		like.Interface = like.free(c.Servers[o.Server], nil)
	}
	_, err := Do(c.Clone(), func(c *state.Cluster) error { return Attach(c, o.Server, like.Record(), true) })
	return err
}
