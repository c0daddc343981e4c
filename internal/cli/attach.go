package cli

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/segment"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

// netOptions is an interface of a container as addnet, setnet and delnet name it.
type netOptions struct {
	edit.Plug
	addresses []string // as typed
}

// parseTarget reads [SERVER:]CONTAINER.
func (o *netOptions) parseTarget(text string) error {
	server, container, both := strings.Cut(text, ":")
	if !both {
		server, container = network.Local, text
	}
	o.Server, o.Container = server, container
	if o.Server == "" || o.Container == "" {
		return command.Refuse("SERVER:CONTAINER, for example s1:c1", "%q names no container", text)
	}
	full := o.Container
	if !strings.Contains(full, "/") {
		full = spec.NetNS + "/" + full
	}
	if err := spec.CheckContainer(full); err != nil {
		return command.Usage(err)
	}
	return nil
}

func (o *netOptions) parseAddrs() error {
	for _, text := range o.addresses {
		a, err := netip.ParseAddr(text)
		if p, perr := netip.ParsePrefix(text); err != nil && perr == nil {
			return command.Refuse("--ip "+p.Addr().String(), "--ip %s: the prefix length is the bridge's", text)
		}
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return command.Refuse("--ip with an IPv4 or IPv6 address", "--ip: %q is not an address", text)
		}
		o.Addrs = append(o.Addrs, a)
	}
	return nil
}

// attach carries addnet and setnet out.
func (a *app) attach(ctx context.Context, o *netOptions) error {
	c, err := a.Load(ctx)
	if err != nil {
		return err
	}
	s := c.Servers[o.Server]
	if err := o.Choose(o.Recorded(s)); err != nil {
		return command.Usage(err)
	}
	if bridges := segment.Bridges(c, o.Server); o.Bridge == "" && len(bridges) == 1 {
		o.Bridge = bridges[0]
	}
	if err := o.Check(c); err != nil {
		return command.Usage(err)
	}
	var made state.Attachment
	req := change.Request{Edit: func(c *state.Cluster) error {
		err := edit.Attach(c, o.Server, o.Record(), o.Replace)
		if s := c.Servers[o.Server]; err == nil {
			made = s.Attached[segment.AttachedAt(s, o.Container, o.Interface)]
		}
		return err
	}}
	if o.Interface == "" || !strings.Contains(o.Container, "/") || o.Replace && spec.IsGuest(o.Container) {
		req.Containers, req.Found = o.Server, func(list []spec.Container) error { return o.Found(s, list) }
	}
	return a.Alter(ctx, command.Alter{
		Request: req,
		Already: func(*change.Outcome) string { return "already so: " + attachedText(o.Server, o.Record()) },
		Said: func(out *change.Outcome) string {
			text := attachedText(o.Server, made)
			if o.Bridge == "" {
				text += "; next: flock setnet " + o.Server + ":" + o.Container + " " + o.Interface + ":BRIDGE"
			}
			return text
		},
	})
}

// completeNet offers servers with the containers that the file knows, then what follows.
func (a *app) completeNet(follows func(c *state.Cluster, server, container string) []string) command.Completer {
	return a.Complete(2, func(c *state.Cluster, args []string, word string) []string {
		if len(args) == 1 {
			var o netOptions
			if o.parseTarget(args[0]) != nil {
				return nil
			}
			return follows(c, o.Server, o.Container)
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
