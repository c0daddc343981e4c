// Package spec is the waist of flock: what one server must look like, as plain
// data. The workstation compiles it, the agent compares it with the kernel, and
// neither sees more of the other than this. Every object has a one-line text
// form (String), which is what plans, goldens and checksums are made of.
//
// It knows no network kinds, no TOML, no netlink and no SSH; it computes
// nothing but text, order and checksums.
package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Numbers that mark flock's objects in a kernel.
const (
	// RouteProto marks flock's own routes (rtm_protocol). Unassigned in
	// iproute2's rt_protos.
	RouteProto = 70
	// RouteProtoBGP marks routes learned by flock's BGP daemon.
	RouteProtoBGP = 71
	// BGPMetric is the metric of these routes: less than DHCP clients give theirs,
	// more than an interface's own and what is set by hand, and nobody else's.
	BGPMetric = 71
	// UnreachableMetric is the metric of Unreachable routes: any other route to the
	// same destination wins, at once and whoever sets it.
	UnreachableMetric = 2_000_000_000
	// AliasPrefix starts the alias (IFLA_IFALIAS) of every link flock makes.
	AliasPrefix = "flock:"
	// IfNameMax is the longest interface name in bytes (IFNAMSIZ less the NUL).
	IfNameMax = 15
)

// Alias is the ownership mark of a link: flock:CLUSTER/NETWORK.
func Alias(cluster, network string) string { return AliasPrefix + cluster + "/" + network }

// Host is everything flock owns on one server for one cluster. What is not
// listed the agent removes if flock made it, and leaves alone otherwise. The
// zero Host (but for Cluster, Store and Server) means: nothing of ours remains.
//
// Names and networks are unique per server; slices need no order: Sort gives
// the canonical one.
type Host struct {
	Cluster    string // cluster name, part of every ownership mark
	Store      string // identity of the cluster file that rules this server
	Server     string // name of the server in that file
	Generation uint64 // generation of the cluster file this was compiled from; not part of Sum

	Links     []Link      `json:",omitempty"`
	Addrs     []Addr      `json:",omitempty"`
	Routes    []Route     `json:",omitempty"`
	Neighs    []Neigh     `json:",omitempty"`
	FDB       []FDB       `json:",omitempty"`
	Floods    []Flood     `json:",omitempty"`
	Members   []Member    `json:",omitempty"`
	Peers     []Peer      `json:",omitempty"`
	Gateways  []Gateway   `json:",omitempty"`
	Guards    []Guard     `json:",omitempty"`
	Doors     []Door      `json:",omitempty"`
	NATs      []NAT       `json:",omitempty"`
	Keeps     []Keep      `json:",omitempty"`
	Forwards  []Forward   `json:",omitempty"`
	Sysctls   []Sysctl    `json:",omitempty"`
	DHCPs     []DHCP      `json:",omitempty"`
	Envs      []SubnetEnv `json:",omitempty"`
	Unmanaged []Unmanage  `json:",omitempty"`
	BGP       *BGP        `json:",omitempty"`
	Claims    []Claim     `json:",omitempty"`
}

// Link kinds, in the kernel's words (IFLA_INFO_KIND) where it has one.
const (
	Bridge    = "bridge"
	VXLAN     = "vxlan"
	WireGuard = "wireguard"
	GRE       = "gre"    // IP in GRE in IPv4 (RFC 2784, key: RFC 2890)
	IP6GRE    = "ip6gre" // IP in GRE in IPv6
	IPIP      = "ipip"   // IPv4 in IPv4 (RFC 2003)
	UDP       = "udp"    // a TUN device; a process carries its packets in UDP, one each, as they are
)

// Link is one network device of ours.
type Link struct {
	Name    string // at most IfNameMax bytes
	Network string // the network (or "subnet" for a server's own bridge) it belongs to; goes into the alias
	Kind    string // one of the constants above
	MAC     string // lower-case colon form; set in the create call and kept; "" for layer 3 devices, which have none
	MTU     int    // bytes of IP packet; pinned on bridges; 0 accepts the kernel's
	Master  string `json:",omitempty"` // the bridge it is a port of
	Down    bool   `json:",omitempty"` // found set down; never wanted

	Tunnel *Tunnel `json:",omitempty"` // VXLAN, GRE, IP6GRE, IPIP, UDP
	Key    string  `json:",omitempty"` // WireGuard only: the device's public key, base64; the server holds the private one
	Port   uint16  `json:",omitempty"` // WireGuard only: UDP port it listens on
}

// Tunnel holds what a tunnel device does with its packets. VXLAN has VNI, Port,
// Local, Group, Dev, GBP, Static, TTL; GRE, IP6GRE and IPIP have Local, Remote, Dev, TTL,
// and Key, which IPIP has not; UDP has Local and Port. None of them changes on a
// living device, but for UDP's: the agent makes it anew.
type Tunnel struct {
	VNI    uint32     // 1…2^24-1
	Port   uint16     // UDP port: VXLAN's destination; where a UDP device listens, and its members do
	Local  netip.Addr // source address in the underlay
	Remote netip.Addr // the other end; invalid: one-to-many, a route's onlink gateway is the other end
	Group  netip.Addr // multicast group; invalid for unicast
	Dev    string     `json:",omitempty"` // underlay device; needed for multicast, otherwise routing decides
	GBP    bool       `json:",omitempty"` // group based policy extension
	Static bool       `json:",omitempty"` // VXLAN: learns no MACs from the frames that come in (nolearning)
	TTL    uint8      `json:",omitempty"` // of the outer header; 0: the kernel's default, for GRE and IPIP the inner packet's
	Key    uint32     `json:",omitempty"` // GRE's, both ways; tells tunnels between the same ends apart; 0: none
	// Extra is what was found set that flock never sets (checksums, another TOS),
	// in the kernel's words; never wanted.
	Extra string `json:",omitempty"`
}

// Addr is an address on one of our links.
type Addr struct {
	Link   string
	Prefix netip.Prefix // host bits kept: 10.0.4.254/24
	// Displaced: found before an address that has its place before it; never wanted.
	// A link's addresses have one order, the widest prefix first.
	Displaced bool `json:",omitempty"`
}

// Route is a route of ours, in the main table, with protocol Proto.
type Route struct {
	// Unreachable answers packets for Dst that nothing else there is for, so that
	// they do not leave by a default route. It has Dst and Proto alone, and the metric
	// UnreachableMetric.
	Unreachable bool `json:",omitempty"`

	Dst    netip.Prefix // masked
	Via    netip.Addr   // next hop; invalid for a link-scope route
	Dev    string
	Src    netip.Addr // preferred source; invalid: the kernel's choice
	Onlink bool       `json:",omitempty"`
	MTU    int        `json:",omitempty"` // bytes; 0: the device's
	Proto  uint8      // RouteProto or RouteProtoBGP
}

// Neigh is a permanent neighbour (ARP, ND) entry on one of our links.
type Neigh struct {
	Link string
	IP   netip.Addr
	MAC  string
}

// FDB is a permanent forwarding entry of a VXLAN device: frames to MAC go to
// Dst in the underlay. The all-zero MAC is the flood entry; one row per Dst.
type FDB struct {
	Link string
	MAC  string
	Dst  netip.Addr
}

// ZeroMAC is the MAC of flood entries.
const ZeroMAC = "00:00:00:00:00:00"

// Flood says to whom a VXLAN device sends broadcast, multicast and frames to
// unknown MACs. To may contain the device's own Local, which is left out: so
// that all members of a network share one list (memory and checksum are then
// linear in the members, not quadratic).
type Flood struct {
	Link string
	To   *AddrSet
}

// Member is another member of a UDP device of ours: packets to Subnets go to Addr,
// at the port of the device, and only Addr may send packets from Subnets.
type Member struct {
	Link    string
	Addr    netip.Addr     // in the underlay; one Member per Link and Addr
	Subnets []netip.Prefix // masked, sorted
}

// Peer is another end of a WireGuard device of ours. Key names it there.
type Peer struct {
	Link      string
	Key       string         // public key, base64
	Endpoint  string         // HOST:PORT, [IPv6]:PORT; HOST may be a DNS name; "": the peer speaks first
	Allowed   []netip.Prefix // masked, sorted, no two peers of a link overlap in full
	Keepalive int            // seconds between packets that keep a NAT's mapping alive; 0: none
	Preshared bool           `json:",omitempty"` // found with a preshared key; never wanted
}

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

// Keep says that what leaves Subnet by Link, for one of To, keeps its source
// address, whatever masquerading rules there are, ours (NAT) and those of others
// (LXC's, Docker's, libvirt's). Without a Link it is about every way out, without
// To about every destination.
type Keep struct {
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

// Sysctl is a kernel setting. The agent remembers the value found and restores
// it when no spec asks any more, unless somebody changed it meanwhile or relies on it.
type Sysctl struct {
	Key   string // with slashes, below /proc/sys: net/ipv4/ip_forward
	Value string
	Link  string `json:",omitempty"` // our link that the key belongs to: it goes with the link, nothing is restored
	Back  string `json:",omitempty"` // found only: the value of before us, to which it goes back
	Kept  string `json:",omitempty"` // found only: who came to rely on Value meanwhile, so that it stays
}

// DHCP is one dnsmasq: DHCP and DNS on one bridge of ours.
type DHCP struct {
	Network string
	Bridge  string
	Listen  []netip.Addr // addresses DNS is served on, all on Bridge; those of the server alone come first
	Domain  string       // DNS domain of the containers
	Ranges  []Range
	Router  netip.Addr   // default gateway handed out (IPv4); invalid: none
	DNS     []netip.Addr // resolvers handed out
	Floats  bool         `json:",omitempty"` // DNS are addresses that go along when another server hands out
	MTU     int          // DHCP option 26 and router advertisements, bytes
	Hosts   []HostName   `json:",omitempty"` // names of the servers themselves
	Peers   []netip.Addr `json:",omitempty"` // other members' Listen that know more names of Domain
}

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

// SubnetEnv is the file /run/flock/NETWORK/subnet.env: what this server was dealt
// of a pool, in the format of flannel's, which its CNI plugin and scripts for
// Docker read.
type SubnetEnv struct {
	Network    string
	Pools      []netip.Prefix // masked; one per family at most
	Subnets    []netip.Prefix // with the containers' gateway in the host bits: 10.244.1.1/24; one per pool
	MTU        int            // bytes, of the containers' links
	Masquerade bool           `json:",omitempty"` // this server masquerades what leaves the pool: a CNI plugin need not
}

// Unmanage tells systemd-networkd and NetworkManager, where present, to leave
// the named links alone.
type Unmanage struct {
	Links []string
}

// Claim is something that must be free on a server before anything is changed.
// It makes nothing; it is checked while planning.
type Claim struct {
	Network string
	Prefix  netip.Prefix   // no foreign route or address overlaps it (default routes aside); invalid: unused
	Except  []netip.Prefix `json:",omitempty"` // within Prefix: foreign routes and addresses in one of them are welcome
	Shared  bool           `json:",omitempty"` // Prefix is what another server shares: no resolver of this one lies in it
	UDPPort uint16         // nobody else listens on it; 0: unused
	TCPPort uint16         `json:",omitempty"` // nobody else listens on it; 0: unused
	Program string         `json:",omitempty"` // must be installed, e.g. "dnsmasq"
	Package string         `json:",omitempty"` // what to install for Program
	Device  string         `json:",omitempty"` // must exist
}

// IfName derives an interface name from base and suffix: "vxl0" and "vx" give
// "vxl0-vx". A base that would make it longer than IfNameMax is cut and gets a
// stable mark of the whole, so that two long names never meet.
func IfName(base, suffix string) string {
	name := base + "-" + suffix
	if len(name) <= IfNameMax {
		return name
	}
	mark := checksum(base)[:4]
	return base[:IfNameMax-len(suffix)-len(mark)-1] + mark + "-" + suffix
}

func (l Link) String() string {
	var b line
	b.add("link", l.Name, l.Kind)
	b.str("mac", l.MAC)
	b.num("mtu", l.MTU)
	b.str("master", l.Master)
	b.str("key", l.Key)
	b.num("port", int(l.Port))
	if t := l.Tunnel; t != nil {
		b.num("vni", int(t.VNI))
		b.num("port", int(t.Port))
		b.addr("local", t.Local)
		b.addr("remote", t.Remote)
		if t.Key != 0 {
			b.str("key", strconv.FormatUint(uint64(t.Key), 10))
		}
		b.addr("group", t.Group)
		b.str("dev", t.Dev)
		b.num("ttl", int(t.TTL))
		b.flag("gbp", t.GBP)
		b.flag("nolearning", t.Static)
		b.str("extra", t.Extra)
	}
	b.flag("down", l.Down)
	b.str("network", l.Network)
	return b.String()
}

func (a Addr) String() string {
	if a.Displaced {
		return "addr " + a.Prefix.String() + " dev " + a.Link + " displaced"
	}
	return "addr " + a.Prefix.String() + " dev " + a.Link
}

// Object names a route as a Step does.
func (r Route) Object() string {
	var b line
	r.object(&b)
	return b.String()
}

func (r Route) object(b *line) {
	b.add("route ")
	if r.Unreachable {
		b.add("unreachable ")
	}
	*b = r.Dst.AppendTo(*b)
}

func (r Route) String() string {
	var b line
	r.write(&b)
	return b.String()
}

func (r Route) write(b *line) {
	r.object(b)
	b.addr("via", r.Via)
	b.str("dev", r.Dev)
	b.addr("src", r.Src)
	b.flag("onlink", r.Onlink)
	b.num("mtu", r.MTU)
	b.num("proto", int(r.Proto))
}

func (n Neigh) String() string {
	var b line
	n.write(&b)
	return b.String()
}

func (n Neigh) write(b *line) {
	b.add("neigh ")
	*b = n.IP.AppendTo(*b)
	b.add(" dev", n.Link, "lladdr", n.MAC)
}

func (f FDB) String() string {
	var b line
	f.write(&b)
	return b.String()
}

func (f FDB) write(b *line) {
	b.add("fdb", f.MAC, "dst ")
	*b = f.Dst.AppendTo(*b)
	b.add(" dev", f.Link)
}

func (f Flood) String() string {
	return "flood " + f.Link + " to " + strings.Join(texts(f.To.Addrs()), ",")
}

func (m Member) String() string {
	return "member " + m.Addr.String() + " dev " + m.Link + " subnets " + strings.Join(texts(m.Subnets), ",")
}

// Object names a peer as a Step does: by the start of its key, which is what people
// know it by.
func (p Peer) Object() string { return "peer " + p.Link + " " + ShortKey(p.Key) }

func (p Peer) String() string {
	var b line
	b.add("peer", p.Link, p.Key)
	b.str("endpoint", p.Endpoint)
	b.str("allowed", strings.Join(texts(p.Allowed), ","))
	b.num("keepalive", p.Keepalive)
	b.flag("preshared", p.Preshared)
	return b.String()
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

func (k Keep) String() string {
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

func (s Sysctl) String() string {
	var b line
	b.add("sysctl", s.Key+"="+s.Value)
	b.str("link", s.Link)
	b.str("back", s.Back)
	b.str("kept", s.Kept)
	return b.String()
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
	b.str("peers", strings.Join(texts(d.Peers), ","))
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

func (u Unmanage) String() string { return "unmanaged " + strings.Join(u.Links, ",") }

func (c Claim) String() string {
	var b line
	b.add("claim")
	if c.Prefix.IsValid() {
		b.str("prefix", c.Prefix.String())
	}
	b.str("except", strings.Join(texts(c.Except), ","))
	b.flag("shared", c.Shared)
	b.num("udp", int(c.UDPPort))
	b.num("tcp", int(c.TCPPort))
	b.str("program", c.Program)
	b.str("package", c.Package)
	b.str("device", c.Device)
	b.str("network", c.Network)
	return b.String()
}

// line builds the text form: words, then key-value pairs that have a value.
type line []byte

func (l *line) String() string { return string(*l) }

func (l *line) add(words ...string) {
	for i, word := range words {
		if i > 0 {
			*l = append(*l, ' ')
		}
		*l = append(*l, word...)
	}
}

// word begins the value of key.
func (l *line) word(key string) {
	*l = append(*l, ' ')
	*l = append(*l, key...)
	*l = append(*l, ' ')
}

func (l *line) str(key, value string) {
	if value != "" {
		l.word(key)
		*l = append(*l, value...)
	}
}

func (l *line) num(key string, n int) {
	if n != 0 {
		l.word(key)
		*l = strconv.AppendInt(*l, int64(n), 10)
	}
}

func (l *line) addr(key string, a netip.Addr) {
	if a.IsValid() {
		l.word(key)
		*l = a.AppendTo(*l)
	}
}

func (l *line) flag(word string, on bool) {
	if on {
		*l = append(*l, ' ')
		*l = append(*l, word...)
	}
}

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}
