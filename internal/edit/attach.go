package edit

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/ground"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
)

// Attach gives a container on a server an interface. One that it has already stays as it
// is, unless change: then it becomes what a says, and one that the container has from
// somebody else is moved. The workstation needs no addserver.
func Attach(c *state.Cluster, server string, a state.Attachment, change bool) error {
	if err := knowServer(c, server); err != nil {
		return err
	}
	s := c.Servers[server]
	at := segment.AttachedAt(s, a.Container, a.Interface)
	if silent := !spec.AsksByDHCP(a.Container) && len(a.Addrs) == 0; silent && at >= 0 && s.Attached[at].Bridge == a.Bridge {
		a.Addrs = s.Attached[at].Addrs // which it was dealt
	} else if free := segment.Deal(c, server, a.Bridge); silent && free.IsValid() {
		a.Addrs = []netip.Addr{free}
	}
	switch {
	case at < 0:
		a.Moved = change && (a.MAC != "" || !spec.IsGuest(a.Container))
		s.Attached = append(s.Attached, a)
	case change:
		a.Moved, a.MAC = s.Attached[at].Moved, s.Attached[at].MAC
		s.Attached[at] = a
	case s.Attached[at].Bridge != a.Bridge || !slices.Equal(s.Attached[at].Addrs, a.Addrs):
		return hint.Errorf("server "+server, "flock setnet "+server+":"+a.Container+" "+a.Interface+":"+cmp.Or(a.Bridge, "BRIDGE")+flags(a.Addrs),
			"%s has an interface %s already, %s", a.Container, a.Interface, Plugged(s.Attached[at]))
	}
	return nil
}

// Detach takes an interface away from a container. One that it does not have is no error.
func Detach(c *state.Cluster, server, container, iface string) error {
	s := c.Servers[server]
	if s == nil {
		return ground.UnknownServer(server)
	}
	if at := segment.AttachedAt(s, container, iface); at >= 0 {
		s.Attached = slices.Delete(s.Attached, at, at+1)
	}
	return nil
}

func flags(addrs []netip.Addr) string {
	out := ""
	for _, a := range addrs {
		out += " --ip " + a.String()
	}
	return out
}

// detachLost takes away the interfaces whose bridge an edit took from their server.
func detachLost(c *state.Cluster) {
	for name, s := range c.Servers {
		s.Attached = slices.DeleteFunc(s.Attached, func(a state.Attachment) bool {
			return a.Bridge != "" && !segment.HasBridge(c, name, a.Bridge)
		})
	}
}

// rebridge plugs what containers had on a bridge of a network into the one that it has now.
func rebridge(c *state.Cluster, name, was string) {
	n := c.Networks[name]
	if was == "" || n.Bridge == "" {
		detachLost(c)
		return
	}
	for _, m := range n.Members {
		s := c.Servers[ground.ServerOf(m)]
		for i := range s.Attached {
			if s.Attached[i].Bridge == was {
				s.Attached[i].Bridge = n.Bridge
			}
		}
	}
}

// Plugged says what an interface is plugged into.
func Plugged(a state.Attachment) string {
	text := "on " + a.Bridge
	if a.Bridge == "" {
		text = "on no bridge"
	}
	for _, addr := range a.Addrs {
		text += ", " + addr.String()
	}
	return text
}
