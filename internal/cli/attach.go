package cli

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/hint"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

// netOptions is an interface of a container as addnet, setnet and delnet name it.
type netOptions struct {
	server    string
	container string // NAME or KIND/NAME
	iface     string // "": the next that is free
	bridge    string
	addresses []string
	addrs     []netip.Addr
	change    bool // setnet: one that is there becomes another
}

// parseTarget reads [SERVER:]CONTAINER.
func (o *netOptions) parseTarget(text string) error {
	server, container, both := strings.Cut(text, ":")
	if !both {
		server, container = network.Local, text
	}
	o.server, o.container = server, container
	if o.server == "" || o.container == "" {
		return refuse("SERVER:CONTAINER, for example s1:c1", "%q names no container", text)
	}
	full := o.container
	if !strings.Contains(full, "/") {
		full = spec.NetNS + "/" + full
	}
	if err := spec.CheckContainer(full); err != nil {
		return usage{err}
	}
	return nil
}

func (o *netOptions) parseAddrs() error {
	for _, text := range o.addresses {
		a, err := netip.ParseAddr(text)
		if p, perr := netip.ParsePrefix(text); err != nil && perr == nil {
			return refuse("--ip "+p.Addr().String(), "--ip %s: the prefix length is the bridge's", text)
		}
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return refuse("--ip with an IPv4 or IPv6 address", "--ip: %q is not an address", text)
		}
		o.addrs = append(o.addrs, a)
	}
	return nil
}

// record is what the cluster file has for o.
func (o *netOptions) record() state.Attachment {
	return state.Attachment{Container: o.container, Interface: o.iface, Bridge: o.bridge, Addrs: o.addrs}
}

// recorded are the containers of that name that the file has interfaces of, KIND/NAME.
func (o *netOptions) recorded(s *state.Server) []string {
	var out []string
	if s == nil {
		return nil
	}
	for _, a := range s.Attached {
		_, name, _ := strings.Cut(a.Container, "/")
		if (a.Container == o.container || name == o.container) && !slices.Contains(out, a.Container) {
			out = append(out, a.Container)
		}
	}
	return out
}

// choose gives the container its kind, if found has one of its name.
func (o *netOptions) choose(found []string) error {
	switch {
	case strings.Contains(o.container, "/"):
	case len(found) > 1:
		return hint.Errorf("server "+o.server, "one of: "+strings.Join(found, ", "), "%s has several containers %s", o.server, o.container)
	case len(found) == 1:
		o.container = found[0]
	}
	return nil
}

// free is the first of eth1, eth2 … that neither the file nor the container has.
func (o *netOptions) free(s *state.Server, there []spec.ContainerInterface) string {
	for i := 1; ; i++ {
		name := "eth" + strconv.Itoa(i)
		taken := slices.ContainsFunc(there, func(c spec.ContainerInterface) bool { return c.Name == name })
		if !taken && (s == nil || network.AttachedAt(s, o.container, name) < 0) {
			return name
		}
	}
}

// found completes o with what its server has.
func (o *netOptions) found(s *state.Server, list []spec.Container) error {
	var names []string
	var there []spec.ContainerInterface
	for _, c := range list {
		_, name, _ := strings.Cut(c.Name, "/")
		if c.Name == o.container || c.Name != "" && name == o.container {
			names, there = append(names, c.Name), c.Interfaces
		}
	}
	if err := o.choose(names); err != nil {
		return err
	}
	if !strings.Contains(o.container, "/") {
		return hint.Errorf("server "+o.server, "flock listnet "+o.server+"; one that is yet to come is named with its kind: "+o.server+":"+spec.NetNS+"/"+o.container,
			"there is no container %s on %s", o.container, o.server)
	}
	if o.iface == "" {
		o.iface = o.free(s, there)
	}
	return nil
}

// tried refuses what can be seen to be wrong before the server is asked anything.
func (o *netOptions) tried(c *state.Cluster) error {
	like := *o
	if !strings.Contains(like.container, "/") {
		like.container = spec.NetNS + "/" + like.container
	}
	if like.iface == "" {
		like.iface = like.free(c.Servers[o.server], nil)
	}
	_, err := edit.Do(c.Clone(), func(c *state.Cluster) error { return edit.Attach(c, o.server, like.record(), true) })
	if err != nil {
		return usage{err}
	}
	return nil
}

// attach carries addnet and setnet out.
func (a *app) attach(ctx context.Context, o *netOptions) error {
	c, err := a.load(ctx)
	if err != nil {
		return err
	}
	s := c.Servers[o.server]
	if err := o.choose(o.recorded(s)); err != nil {
		return usage{err}
	}
	if bridges := network.Bridges(c, o.server); o.bridge == "" && len(bridges) == 1 {
		o.bridge = bridges[0]
	}
	if err := o.tried(c); err != nil {
		return err
	}
	req := change.Request{Edit: func(c *state.Cluster) error { return edit.Attach(c, o.server, o.record(), o.change) }}
	if o.iface == "" || !strings.Contains(o.container, "/") {
		req.Containers, req.Found = o.server, func(list []spec.Container) error { return o.found(s, list) }
	}
	return a.alter(ctx, alter{
		Request: req,
		said: func(out *change.Outcome) string {
			text := attachedText(o.server, o.record())
			if o.bridge == "" {
				text += "; next: flock setnet " + o.server + ":" + o.container + " " + o.iface + ":BRIDGE"
			}
			return text
		},
	})
}

// completeNet offers servers with the containers that the file knows, then what follows.
func (a *app) completeNet(follows func(c *state.Cluster, server, container string) []string) completer {
	return a.complete(2, func(c *state.Cluster, args []string, word string) []string {
		if len(args) == 1 {
			var o netOptions
			if o.parseTarget(args[0]) != nil {
				return nil
			}
			return follows(c, o.server, o.container)
		}
		server, _, inside := strings.Cut(word, ":")
		if !inside {
			var out []string
			for _, name := range c.ServerNames() {
				out = append(out, name+":")
			}
			return out
		}
		var out []string
		if s := c.Servers[server]; s != nil {
			for _, at := range s.Attached {
				out = append(out, server+":"+at.Container)
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	})
}

// addAddresses adds --ip.
func addAddresses(cmd *cobra.Command, o *netOptions) {
	cmd.Flags().StringArrayVar(&o.addresses, "ip", nil, "the container's address, one of each family; without it, its DHCP client asks")
}

// attachedText describes an interface of a container on a server for a person.
func attachedText(server string, a state.Attachment) string {
	return server + ":" + a.Container + ": " + a.Interface + " " + edit.Plugged(a)
}
