package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/network"
	"github.com/flocknet/flock/internal/state"
	"github.com/spf13/cobra"
)

type createNetworkOptions struct {
	name, kind     string
	subnets        prefixes
	group          addr
	vni, port, mtu int64
	keepalive      int64
	noDHCP         bool
	network.Options
}

func newCreateNetwork(a *app) *cobra.Command {
	var o createNetworkOptions
	cmd := &cobra.Command{
		Use:   "createnetwork NAME " + strings.Join(network.Created(), "|"),
		Short: "write a new network down; its members come with addnetwork",
		Long: `Create a network. What is not given gets its default, printed and kept from then on:
subnet 10.0.4.0/24 (the next free /24 when taken), VNI 42 (next free), port 4789, bridge
vxl0 (next free), domain vxapp, DHCP by the first member, masquerading on, MTU from the
members' underlay. Frames to unknown destinations go by unicast to every member, with -m
by multicast. -s given twice, IPv4 and IPv6, makes a dual-stack network.

l2 is vxlan inside a WireGuard mesh of its own: encrypted, over any IP network, also
through NAT. Bridge vpl0; -p is WireGuard's port. wireguard is an encrypted layer 3
network: subnet 10.0.8.0/24 (next free), port 51820 (next free), every member talks to
every other, or with --topology hub through the lead server.

Pool networks, flannel's and Calico's backends: every member gets a subnet of the pool
(-s, 10.244.0.0/16 or the next free one) for its containers, /24 or --subnet-len, and
routes to the others'. The subnet is written to /run/flock/NAME/subnet.env there, for
CNI plugins and Docker; with -b flock makes the containers' bridge itself, with DHCP, DNS
and masquerade. host-gw: plain routes, on one layer 2 segment. vxlan-l3: VXLAN as flannel
has it (VNI 1, port 8472). ipip: IPv4 in IPv4. alloc: deals out subnets, no routes. udp:
a process on each server and UDP port 8285, slow, for debugging and for kernels without
VXLAN. --direct-routing: no encapsulation between members of one segment.

  flock createnetwork vx1 vxlan
  flock createnetwork vx2 vxlan -s 10.20.4.0/24 -s fd00:20::/64 -v 77 -d lab -n s2
  flock createnetwork wirex wireguard --topology hub
  flock createnetwork vpx l2
  flock createnetwork n1 vxlan-l3 -s 10.50.0.0/16 -s fd50::/48 --direct-routing
  flock createnetwork n2 host-gw -b cbr0`,
		Args: exactly(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return network.Created(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		Annotations: changing(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.kind = args[0], args[1]
			if err := o.parse(cmd); err != nil {
				return err
			}
			return a.createNetwork(cmd.Context(), &o)
		},
	}
	f := cmd.Flags()
	f.VarP(&o.subnets, "subnet", "s", "the containers' subnet; twice for IPv4 and IPv6")
	f.StringVarP(&o.Interface, "interface", "i", "", "the members' underlay `IFACE` (default: of the default route)")
	f.StringVarP(&o.Bridge, "bridge", "b", "", "name of the bridge `IFACE` on every member")
	f.Int64VarP(&o.vni, "vni", "v", 0, "VXLAN network identifier, `N` from 1 to 16777215")
	f.Int64VarP(&o.port, "port", "p", 0, "UDP port `N`")
	f.StringVarP(&o.Domain, "domain", "d", "", "DNS domain `NAME` of the containers")
	f.VarP(&o.group, "group", "m", "send frames to unknown destinations to this multicast group")
	f.StringVarP(&o.DHCPServer, "dhcp-server", "n", "", "`SERVER` that hands out addresses (default: the first member)")
	f.Int64Var(&o.mtu, "mtu", 0, "MTU in `BYTES` of the containers' interfaces (default: what the underlay leaves)")
	f.StringVar(&o.Topology, "topology", "", "`mesh|hub`: who WireGuard talks to")
	f.Int64Var(&o.keepalive, "keepalive", 0, "`SECONDS` between packets that keep WireGuard's peers in touch (default: 25, by servers behind NAT)")
	f.IntSliceVar(&o.SubnetLens, "subnet-len", nil, "prefix length `N` of a member's subnet (default 24 and 64); once per pool")
	f.BoolVar(&o.Direct, "direct-routing", false, "plain routes between members of one segment, encapsulation between others")
	f.BoolVar(&o.GBP, "gbp", false, "VXLAN group based policy extension")
	f.BoolVar(&o.NoMasq, "no-masquerade", false, "containers keep their addresses towards the outside")
	f.BoolVar(&o.Isolate, "isolate", false, "containers reach nothing of the members' own but DHCP, names and ping")
	f.BoolVar(&o.noDHCP, "no-dhcp", false, "hand out no addresses")
	f.StringVar(&o.DHCP, "dhcp", "", "`single|distributed`: one server hands out addresses, or each to its own containers (64 of a /24 at first, more by apply)")
	completeFlag(cmd, "dhcp", completeWords(state.DHCPSingle, state.DHCPDistributed))
	completeFlag(cmd, "dhcp-server", a.completeServers(1<<30))
	return cmd
}

func (o *createNetworkOptions) parse(cmd *cobra.Command) error {
	o.Subnets, o.Group = o.subnets, o.group.Addr
	o.VNI, o.Port, o.MTU = number(cmd, "vni", &o.vni), number(cmd, "port", &o.port), number(cmd, "mtu", &o.mtu)
	o.Keepalive = number(cmd, "keepalive", &o.keepalive)
	if !o.noDHCP {
		return nil
	}
	if o.DHCP != "" {
		return refuse("leave one away", "--no-dhcp and --dhcp %s contradict each other", o.DHCP)
	}
	o.DHCP = state.DHCPOff
	return nil
}

func (a *app) createNetwork(ctx context.Context, o *createNetworkOptions) error {
	return a.alter(ctx, alter{
		Request: change.Request{Edit: func(c *state.Cluster) error {
			return network.Create(c, o.name, o.kind, o.Options)
		}},
		networks: []string{o.name},
		would: func(out *change.Outcome) string {
			return o.name + " would be " + outline(out.Cluster.Networks[o.name])
		},
		said: func(out *change.Outcome) string {
			n := out.Cluster.Networks[o.name]
			return fmt.Sprintf("%s created: %s\nnext: flock addnetwork %s %sSERVER…", o.name, outline(n), o.name, firstRole(n))
		},
	})
}

// firstRole is what stands before the first member that joins.
func firstRole(n *state.Network) string {
	if n.Type == network.WireGuard {
		return roleServer + " "
	}
	return ""
}

// outline is a network in one line.
func outline(n *state.Network) string {
	subnets := prefixes(n.Subnets)
	words := append(strings.Fields(n.Type+" "+subnets.String()), options(n, 0)...)
	return strings.ReplaceAll(strings.Join(words, " "), noBreak, " ")
}
