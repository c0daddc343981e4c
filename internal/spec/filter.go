package spec

import (
	"net/netip"
	"strconv"
	"strings"
)

// Gateway is a network's anycast gateway: an address and a MAC that are the same
// on every member. The address itself is an Addr on Bridge; this is the part in
// nftables (bridge family): frames to MAC from our own ports are taken in as the
// server's own, ARP and ND answers for the address carry MAC, and nothing about
// address or MAC crosses Uplink.
type Gateway struct {
	Network string
	Bridge  string
	Uplink  string // the tunnel port of Bridge
	MAC     string
	// RouterMACs and RouterMask match the bridges of all members. A container
	// that sends to one of them for an outside address (it learned the router
	// from a distant router advertisement) is taken in here too.
	RouterMACs, RouterMask string
	Subnets                []netip.Prefix // masked
	Addrs                  []netip.Addr   // the gateway's addresses, one per subnet at most
	FilterDHCP             bool           `json:",omitempty"` // DHCP and router advertisements stay on this server too
}

// Guard is what a container bridge of ours does not let in from its ports, but for
// Uplink: words in the name of a server, and where our servers hand out addresses, those
// of another DHCP server or router. What is plugged in may have any number of MACs otherwise.
type Guard struct {
	Network string
	Bridge  string
	Uplink  string `json:",omitempty"` // the tunnel port, behind which are other servers; "": there are none
	// ServerMACs and ServerMask match the bridges of all servers.
	ServerMACs, ServerMask string
	Servers                []netip.Prefix // masked, sorted: addresses of servers on the bridge, of both families; nobody else answers for them
	DHCP                   bool           `json:",omitempty"` // nobody else hands out addresses or advertises routers
	Subnets                []netip.Prefix // masked: the network's
	Closed                 []uint16       `json:",omitempty"` // UDP ports of this server's tunnels, sorted: let through to Subnets alone, servers excepted
	Isolated               *Isolation     `json:",omitempty"` // nil: all else of the servers is reached as it is from elsewhere
}

// Isolation closes this server to what a bridge's containers begin, and other servers as
// far as the way there leads through this one. Open are ping, Servers to each other, and with DHCP
// what that takes and DNS at one of Servers.
type Isolation struct {
	From []netip.Prefix `json:",omitempty"` // masked, sorted: addresses of the network's servers besides those on the bridge
	Open []uint16       `json:",omitempty"` // TCP ports whose Door says who comes in, sorted
}

// Door is a TCP port of a daemon of ours that only From may reach. What comes from a
// subnet Behind does not reach it on one of From through this server either: it could go
// out in this server's name.
type Door struct {
	Network string
	Port    uint16
	From    []netip.Addr   // sorted
	Behind  []netip.Prefix `json:",omitempty"` // masked, sorted
}

// NAT masquerades what leaves Subnet towards anything but Subnet and Except. An
// agent that sees packet filters of ours that no object asks for, such as those before
// VXLAN inside a mesh, stands one with an invalid Subnet for them.
type NAT struct {
	Network string
	Bridge  string
	Subnet  netip.Prefix   // masked
	Except  []netip.Prefix `json:",omitempty"` // destinations that keep the source address
}

// PreserveSource says that what leaves Subnet by Link, for one of To, keeps its source
// address, whatever masquerading rules there are, ours (NAT) and those of others
// (LXC's, Docker's, libvirt's). Without a Link it is about every way out, without
// To about every destination.
type PreserveSource struct {
	Network string
	Link    string         `json:",omitempty"`
	Subnet  netip.Prefix   // masked
	To      []netip.Prefix `json:",omitempty"` // masked, of Subnet's family
}

// Forward is a request that forwarding from and to Link, or from and to Subnet, be
// accepted where somebody else's policy drops it (Docker's, libvirt's). Nothing is
// done on a server without such a policy.
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
