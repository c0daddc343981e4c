package cli

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/edit"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/option"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newCreateNetwork(a *app) *cobra.Command {
	var given func() (option.Options, error)
	cmd := &cobra.Command{
		Use:   "createnetwork NAME " + strings.Join(network.Created(), "|"),
		Short: "write a new network down; its members come with addnetwork",
		Long: `Create a network. What is not given gets its default, printed and kept from then on:
subnet 10.0.4.0/24 (the next free /24 when taken), VNI 42 (next free), port 4789, bridge
vxl0 (next free), domain vxapp, DHCP by the first member, masquerading on, MTU from the
members' underlay. Frames to unknown destinations go by unicast to every member, with -m
by multicast. -s given twice, IPv4 and IPv6, makes a dual-stack network.

` + strings.Join(network.CreatedHelp(), "\n\n") + `

  flock createnetwork vx1 vxlan
  flock createnetwork vx2 vxlan -s 10.20.4.0/24 -s fd00:20::/64 -v 77 -d lab -n s2
  flock createnetwork wirex wireguard --topology hub
  flock createnetwork vpx l2
  flock createnetwork n1 vxlan-l3 -s 10.50.0.0/16 -s fd50::/48 --direct-routing
  flock createnetwork n2 host-gw -b cbr0
  flock createnetwork n3 aws-vpc -b cbr0 --route-table rtb-0a1b2c3d
  flock createnetwork br1 bridge --vlan 30`,
		Args: command.Exactly(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return network.Created(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		Annotations: command.Changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := given()
			if err != nil {
				return err
			}
			return a.createNetwork(cmd.Context(), args[0], args[1], o)
		},
	}
	given = a.addOptions(cmd, func(o *option.Option) string { return o.Help })
	return cmd
}

// addOptions gives cmd the flags of network options for which there is a help. Given returns
// what they say, of those that were given.
func (a *app) addOptions(cmd *cobra.Command, help func(*option.Option) string) (given func() (option.Options, error)) {
	f := cmd.Flags()
	noDHCP := f.Bool("no-dhcp", false, "hand out no addresses")
	values := map[string]func() any{}
	for _, o := range option.All() {
		if help(&o) == "" {
			continue
		}
		values[o.Key] = addOption(f, &o, help(&o))
		if o.Servers {
			command.CompleteFlag(cmd, o.Key, a.CompleteServers(1<<30))
		}
		if len(o.Offer) > 0 {
			command.CompleteFlag(cmd, o.Key, command.CompleteWords(o.Offer...))
		}
	}
	return func() (option.Options, error) {
		out := option.Options{}
		for key, value := range values {
			if f.Changed(key) {
				out[key] = value()
			}
		}
		if !*noDHCP {
			return out, nil
		}
		if mode := out["dhcp"]; mode != nil && mode != "" {
			return nil, command.Refuse("leave one away", "--no-dhcp and --dhcp %s contradict each other", mode)
		}
		out["dhcp"] = state.DHCPOff
		return out, nil
	}
}

// addOption adds the flag of one option, and returns what reads its value.
func addOption(f *pflag.FlagSet, o *option.Option, help string) func() any {
	if o.Parse != nil {
		var value int64
		f.VarP(&command.Parsed{Parse: o.Parse, Take: func(n int64) { value = n }}, o.Key, o.Short, help)
		f.Lookup(o.Key).NoOptDefVal = o.Bare
		return func() any { return value }
	}
	switch o.Zero().(type) {
	case bool:
		v := f.BoolP(o.Key, o.Short, false, help)
		return func() any { return *v }
	case int64:
		v := f.Int64P(o.Key, o.Short, 0, help)
		return func() any { return *v }
	case []int:
		v := f.IntSliceP(o.Key, o.Short, nil, help)
		return func() any { return *v }
	case []string:
		v := f.StringArrayP(o.Key, o.Short, nil, help)
		return func() any { return *v }
	case []netip.Prefix:
		v := new(command.Prefixes)
		f.VarP(v, o.Key, o.Short, help)
		return func() any { return []netip.Prefix(*v) }
	case netip.Addr:
		v := new(command.Addr)
		f.VarP(v, o.Key, o.Short, help)
		return func() any { return v.Addr }
	}
	v := f.StringP(o.Key, o.Short, "", help)
	return func() any { return *v }
}

func (a *app) createNetwork(ctx context.Context, name, kind string, o option.Options) error {
	return a.Alter(ctx, command.Alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			return edit.Create(c, name, kind, o)
		}},
		About: []string{name},
		Already: func(out *change.Outcome) string {
			return name + " is there already: " + command.Outline(out.Cluster.Networks[name])
		},
		Would: func(out *change.Outcome) string {
			return name + " would be " + command.Outline(out.Cluster.Networks[name])
		},
		Said: func(out *change.Outcome) string {
			n := out.Cluster.Networks[name]
			return fmt.Sprintf("%s created: %s\nnext: %s…", name, command.Outline(n), network.Joining(n, name, "SERVER"))
		},
	})
}
