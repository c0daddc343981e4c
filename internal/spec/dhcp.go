package spec

import (
	"net/netip"
	"strconv"
	"strings"
)

// DHCP is one dnsmasq: DHCP and DNS on one bridge of ours.
type DHCP struct {
	Network string
	Bridge  string
	Listen  []netip.Addr // addresses DNS is served on, all on Bridge; the server's own come first
	Domain  string       // DNS domain of the containers
	Ranges  []Range
	Router  netip.Addr    // default gateway handed out (IPv4); invalid: none
	DNS     []netip.Addr  // resolvers handed out
	Floats  bool          `json:",omitempty"` // DNS are addresses that move to the server that runs DHCP
	MTU     int           // DHCP option 26 and router advertisements, bytes
	Hosts   []HostName    `json:",omitempty"` // names of the servers themselves
	Known   []KnownClient `json:",omitempty"`
	Peers   []netip.Addr  `json:",omitempty"` // Listen addresses of other members, which know further names of Domain
	Zone    *Zone         `json:",omitempty"` // what Peers are in where routes lead to them; nil: they are on Bridge's segment
}

// Zone is a layer 3 network that bridges of several servers take part in.
type Zone struct {
	Domain  string         // in which all their containers have their names too; "": none
	Subnets []netip.Prefix // masked: of the others' bridges
}

// KnownClient is a DHCP client whose name, or whose addresses, are decided here.
type KnownClient struct {
	MAC   string
	Name  string       `json:",omitempty"` // in Domain, whatever the client says; "": what the client says
	Addrs []netip.Addr `json:",omitempty"` // nobody else gets them
}

// ReservedNames are host names, in lower case, that programs look for unasked, or that
// stand for a server: no container has one of them.
func ReservedNames() []string {
	return []string{"wpad", "isatap", "gateway", "_gateway", "router", "localhost"}
}

// ClaimsPort is the UDP port, beside those of DNS, where the servers of a network with
// Peers agree which container has a name.
const ClaimsPort = 5357

// NamesPort is the UDP and TCP port where the process that asks all servers of a network for
// names hears the dnsmasq of its own server and, where there is a Zone, its Peers by UDP.
const NamesPort = 5356

// Range is what dnsmasq hands out. IPv6 with a /64 uses SLAAC, otherwise DHCPv6.
type Range struct {
	First, Last netip.Addr
	Subnet      netip.Prefix // masked
}

// HostName is a fixed name in the network's domain.
type HostName struct {
	Name string
	Addr netip.Addr
}

// SubnetEnv is the file /run/flock/NETWORK/subnet.env: the part of a pool that this
// server got, in the format of flannel's file, which flannel's CNI plugin and scripts
// for Docker read.
type SubnetEnv struct {
	Network    string
	Pools      []netip.Prefix // masked; one per family at most
	Subnets    []netip.Prefix // with the containers' gateway in the host bits: 10.244.1.1/24; one per pool
	MTU        int            // bytes, of the containers' links
	Masquerade bool           `json:",omitempty"` // this server masquerades packets that leave the pool, so that a CNI plugin need not
}

func (d DHCP) String() string {
	var b line
	b.add("dhcp", d.Network)
	b.str("bridge", d.Bridge)
	b.str("listen", strings.Join(texts(d.Listen), ","))
	b.str("domain", d.Domain)
	for _, r := range d.Ranges {
		b.str("range", r.String())
	}
	b.addr("router", d.Router)
	b.str("dns", strings.Join(texts(d.DNS), ","))
	b.flag("floats", d.Floats)
	b.num("mtu", d.MTU)
	for _, h := range d.Hosts {
		b.str("host", h.Name+"="+h.Addr.String())
	}
	for _, k := range d.Known {
		b.str("known", strings.TrimSuffix(k.MAC+"="+k.Name+","+strings.Join(texts(k.Addrs), ","), ","))
	}
	b.str("peers", strings.Join(texts(d.Peers), ","))
	if d.Zone != nil {
		b.str("zone", d.Zone.Domain+"="+strings.Join(texts(d.Zone.Subnets), ","))
	}
	return b.String()
}

func (r Range) String() string {
	return r.First.String() + "-" + r.Last.String() + "/" + strconv.Itoa(r.Subnet.Bits())
}

func (e SubnetEnv) String() string {
	var b line
	b.add("subnet.env", e.Network)
	b.str("pool", strings.Join(texts(e.Pools), ","))
	b.str("subnet", strings.Join(texts(e.Subnets), ","))
	b.num("mtu", e.MTU)
	b.flag("masquerade", e.Masquerade)
	return b.String()
}
