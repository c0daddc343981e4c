package spec

import (
	"net/netip"
	"strconv"
	"strings"
)

// Gateway is a network's anycast gateway: an address and a MAC that are the same on
// every member. The address is an Addr on Bridge; this is the part in nftables (family
// bridge): the server itself takes frames to MAC that enter by its own ports, answers
// ARP and neighbour solicitation for the address with MAC, and lets nothing about
// address or MAC cross Uplink.
type Gateway struct {
	Network string
	Bridge  string
	Uplink  string // the tunnel port of Bridge
	MAC     string
	// RouterMACs and RouterMask match the bridges of all members. A container may have
	// learned one of them from a router advertisement of another server; frames to it
	// for outside addresses are taken by this server, too.
	RouterMACs, RouterMask string
	Subnets                []netip.Prefix // masked
	Addrs                  []netip.Addr   // the gateway's addresses, one per subnet at most
	FilterDHCP             bool           `json:",omitempty"` // DHCP and router advertisements stay on this server too
}

// Guard is what a container bridge of ours drops of frames that enter by its ports,
// except for Uplink: those that pretend to come from a server and, where flock's servers
// run DHCP, those of another DHCP server or router. Containers may use any number of
// other MACs.
type Guard struct {
	Network string
	Bridge  string
	Uplink  string `json:",omitempty"` // the tunnel port to the other servers; "": there is none
	// ServerMACs and ServerMask match the bridges of all servers.
	ServerMACs, ServerMask string
	Servers                []netip.Prefix // masked, sorted: addresses of servers on the bridge, of both families; nobody else may answer for them
	DHCP                   bool           `json:",omitempty"` // drop DHCP answers and router advertisements of others
	Subnets                []netip.Prefix // masked: the network's
	Closed                 []uint16       `json:",omitempty"` // UDP ports of this server's tunnels and of its names, sorted: containers may send to them only within Subnets, and not to servers
	Isolated               *Isolation     `json:",omitempty"` // nil: containers reach the servers as any other host does
	Resolve                *Resolve       `json:",omitempty"` // nil: containers ask whom they like
}

// Resolve turns the DNS questions of containers with addresses in From, for somebody outside of
// the bridge's subnets, to At, an address of the server there. Docker's resolver asks whom the
// server asks, and that cannot be set per network (20.10, libnetwork's resolver.go).
type Resolve struct {
	From netip.Prefix // masked, IPv4
	At   netip.Addr
}

// Isolation drops connections from a bridge's containers to this server, and to other
// servers if they pass through this one. Allowed are ping, traffic between Servers, and
// with DHCP the packets that DHCP needs and DNS at one of Servers.
type Isolation struct {
	From []netip.Prefix `json:",omitempty"` // masked, sorted: addresses of the network's servers besides those on the bridge
	Open []uint16       `json:",omitempty"` // TCP ports for which a Door decides, sorted
}

// Door is a TCP port of a daemon of ours that accepts connections from the addresses
// From only. Packets from a subnet Behind do not reach it on one of From through this
// server either: they might be masqueraded and arrive with this server's address.
type Door struct {
	Network string
	Port    uint16
	From    []netip.Addr   // sorted
	Behind  []netip.Prefix `json:",omitempty"` // masked, sorted
}

// NAT masquerades packets from Subnet to destinations outside Subnet and Except. An
// agent that finds packet filters of ours that no object asks for (those before VXLAN
// inside a mesh, for example) reports a NAT with an invalid Subnet in their place.
type NAT struct {
	Network string
	Bridge  string
	Subnet  netip.Prefix   // masked
	Except  []netip.Prefix `json:",omitempty"` // destinations for which the source address is kept
}

// PreserveSource keeps the source address of packets from Subnet that leave by Link for
// one of To, whatever masquerading rules there are, ours (NAT) and those of others
// (LXC's, Docker's, libvirt's). Without a Link it applies to every device, without To to
// every destination.
type PreserveSource struct {
	Network string
	Link    string         `json:",omitempty"`
	Subnet  netip.Prefix   // masked
	To      []netip.Prefix `json:",omitempty"` // masked, of Subnet's family
}

// Forward asks that the network's packets from and to Link, or from and to Subnet, are
// forwarded where the policy of another program drops them (Docker's, libvirt's): among its
// own, to the outside and back, and what is shared. Without such a policy nothing is done.
type Forward struct {
	Network string
	Link    string       `json:",omitempty"`
	Subnet  netip.Prefix `json:",omitzero"` // masked; only without a Link
}

func (g Gateway) String() string {
	var b line
	b.add("gateway", strings.Join(texts(g.Addrs), ","))
	b.str("mac", g.MAC)
	b.str("bridge", g.Bridge)
	b.str("uplink", g.Uplink)
	b.str("routers", g.RouterMACs+"/"+g.RouterMask)
	b.str("subnets", strings.Join(texts(g.Subnets), ","))
	b.flag("filter-dhcp", g.FilterDHCP)
	b.str("network", g.Network)
	return b.String()
}

func (g Guard) String() string {
	var b line
	b.add("ports", g.Bridge)
	b.str("uplink", g.Uplink)
	b.str("macs", g.ServerMACs+"/"+g.ServerMask)
	b.str("servers", strings.Join(texts(g.Servers), ","))
	b.flag("no-dhcp", g.DHCP)
	for _, port := range g.Closed {
		b.num("closed", int(port))
	}
	b.str("subnets", strings.Join(texts(g.Subnets), ","))
	if g.Isolated != nil {
		b.flag("isolated", true)
		b.str("from", strings.Join(texts(g.Isolated.From), ","))
		for _, port := range g.Isolated.Open {
			b.num("but", int(port))
		}
	}
	if g.Resolve != nil {
		b.str("resolve", g.Resolve.From.String()+"="+g.Resolve.At.String())
	}
	b.str("network", g.Network)
	return b.String()
}

func (d Door) String() string {
	var b line
	b.add("door", strconv.Itoa(int(d.Port)))
	b.str("from", strings.Join(texts(d.From), ","))
	b.str("behind", strings.Join(texts(d.Behind), ","))
	b.str("network", d.Network)
	return b.String()
}

func (n NAT) String() string {
	var b line
	if n.Subnet.IsValid() {
		b.add("masquerade", n.Subnet.String())
	} else {
		b.add("guard", n.Network)
	}
	b.str("bridge", n.Bridge)
	b.str("except", strings.Join(texts(n.Except), ","))
	b.str("network", n.Network)
	return b.String()
}

func (k PreserveSource) String() string {
	var b line
	b.add("keep", k.Subnet.String())
	b.str("dev", k.Link)
	b.str("to", strings.Join(texts(k.To), ","))
	b.str("network", k.Network)
	return b.String()
}

// Name is the link or subnet.
func (f Forward) Name() string {
	if f.Link == "" && f.Subnet.IsValid() {
		return f.Subnet.String()
	}
	return f.Link
}

func (f Forward) String() string { return "forward " + f.Name() + " network " + f.Network }
