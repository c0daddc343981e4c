package spec

import (
	"net/netip"
	"strconv"
	"strings"
)

// Link kinds, in the kernel's words (IFLA_INFO_KIND) where it has one.
const (
	Bridge    = "bridge"
	VXLAN     = "vxlan"
	WireGuard = "wireguard"
	GRE       = "gre"    // IP in GRE in IPv4 (RFC 2784, key: RFC 2890)
	IP6GRE    = "ip6gre" // IP in GRE in IPv6
	IPIP      = "ipip"   // IPv4 in IPv4 (RFC 2003)
	Port      = "port"   // a device of others in one of our bridges: it bears no mark, and is given back as it was found
	VLAN      = "vlan"   // frames of a device of others that have a tag (IEEE 802.1Q)
	UDP       = "udp"    // a TUN device; a process sends each of its packets in one UDP datagram, unencrypted
)

// What a tunnel is to its bridge while there is another, so that every frame takes one way
// and none goes in a circle. Neither hands frames to the other.
const (
	Beside = "beside" // frames go out by it
	Quiet  = "quiet"  // it only takes frames in, and the bridge forgets who is behind it
)

// Link is one network device of ours.
type Link struct {
	Name    string // at most IfNameMax bytes
	Network string // the network (or "subnet" for a server's own bridge) it belongs to; goes into the alias
	Kind    string // one of the constants above
	MAC     string // lower-case colon form; set in the create call and kept; "" for layer 3 devices, which have none
	MTU     int    // bytes of IP packet; pinned on bridges; 0 accepts the kernel's
	Master  string `json:",omitempty"` // the bridge it is a port of
	Turn    string `json:",omitempty"` // Beside, Quiet: its bridge has two tunnels, while members turn from one to the other
	Moves   bool   `json:",omitempty"` // Port: its addresses, and the routes by it, are its bridge's; found: it has none itself
	Down    bool   `json:",omitempty"` // found only: it is set down

	// Extra is what others set on it and flock never sets (a port that does not flood, a bridge
	// that speaks STP), in the kernel's words. Found only; taken back on the living link.
	Extra string `json:",omitempty"`
	Stiff bool   `json:",omitempty"` // found only: it cannot be renamed as it runs: a process of ours makes it, or not LiveRename

	Tunnel *Tunnel `json:",omitempty"` // VXLAN, GRE, IP6GRE, IPIP, UDP, VLAN
	Key    string  `json:",omitempty"` // WireGuard only: the device's public key, base64; the server holds the private one
	Port   uint16  `json:",omitempty"` // WireGuard only: UDP port it listens on
}

// Tunnel is what a tunnel device does with its packets. VXLAN has VNI, Port, Local,
// Group, Dev, GBP, Static, TTL. GRE, IP6GRE and IPIP have Local, Remote, Dev, TTL; GRE
// and IP6GRE also Key. UDP has Local and Port, VLAN has VNI, its tag, and Dev. Of an
// existing device those of UDP can be changed, and of an IP tunnel Local, Remote (not whether
// there is one), TTL and Key (linux ip_tunnel_changelink): otherwise the agent makes it anew.
type Tunnel struct {
	VNI    uint32     // 1…2^24-1
	Port   uint16     // UDP port: of VXLAN the destination; a UDP device and its other members listen on it
	Local  netip.Addr // source address in the underlay
	Remote netip.Addr // the other end; invalid: one device for many ends, each the onlink gateway of a route
	Group  netip.Addr // multicast group; invalid for unicast
	Dev    string     `json:",omitempty"` // underlay device; needed for multicast, otherwise routing decides
	GBP    bool       `json:",omitempty"` // group based policy extension
	Static bool       `json:",omitempty"` // VXLAN: learns no MACs from the frames that come in (nolearning)
	TTL    uint8      `json:",omitempty"` // of the outer header; 0: the kernel's default, for GRE and IPIP the inner packet's
	Key    uint32     `json:",omitempty"` // GRE's, both ways; tells tunnels between the same ends apart; 0: none
	// Extra is what was found set and flock never sets (checksums, another TOS), in the
	// kernel's words. Found only.
	Extra string `json:",omitempty"`
}

// Addr is an address on one of our links.
type Addr struct {
	Link   string
	Prefix netip.Prefix // host bits kept: 10.0.4.254/24
	// Displaced is found only: the address comes before one that should precede it. A
	// link's addresses have one order, the widest prefix first.
	Displaced bool `json:",omitempty"`
}

// Unmanage tells systemd-networkd and NetworkManager, where present, to leave
// the named links alone; or firewalld, where installed, to let pass what enters by the
// named links, or from prefixes among them; or ufw, where active, to let in from them what
// containers ask for.
type Unmanage struct {
	Links []string
}

// Isolated is Turn as plans say it: the port's isolation, and whether it also keeps quiet.
func (l Link) Isolated() string {
	switch l.Turn {
	case "":
		return ""
	case Quiet:
		return Quiet
	}
	return "on"
}

func (l Link) String() string {
	var b line
	b.add("link", l.Name, l.Kind)
	b.str("mac", l.MAC)
	b.num("mtu", l.MTU)
	b.str("master", l.Master)
	b.str("isolated", l.Isolated())
	b.str("key", l.Key)
	b.num("port", int(l.Port))
	if t := l.Tunnel; t != nil {
		b.num(l.Number(), int(t.VNI))
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
	b.flag("moves", l.Moves)
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

func (u Unmanage) String() string { return "unmanaged " + strings.Join(u.Links, ",") }

// SameWay says whether the kernel cannot have both links at one time: it could not tell whose
// an incoming packet is.
func SameWay(a, b Link) bool {
	switch {
	case IPTunnel(a.Kind):
		return a.Kind == b.Kind && a.Tunnel.Local == b.Tunnel.Local && a.Tunnel.Remote == b.Tunnel.Remote && a.Tunnel.Key == b.Tunnel.Key && a.Tunnel.Dev == b.Tunnel.Dev
	case PortOf(a) == 0 || PortOf(a) != PortOf(b):
		return false
	case a.Kind == VXLAN && b.Kind == VXLAN:
		return a.Tunnel.VNI == b.Tunnel.VNI && a.Tunnel.Local.Is6() == b.Tunnel.Local.Is6()
	}
	return a.Kind != UDP || b.Kind != UDP || a.Tunnel.Local == b.Tunnel.Local
}

// Number is what the number of l's frames is called.
func (l Link) Number() string {
	if l.Kind == VLAN {
		return "vlan"
	}
	return "vni"
}

// PortOf is the UDP port that l listens on, 0 if it does not.
func PortOf(l Link) uint16 {
	if l.Tunnel != nil {
		return l.Tunnel.Port
	}
	return l.Port
}

// IPTunnel says whether devices of kind are IP tunnels.
func IPTunnel(kind string) bool {
	return kind == GRE || kind == IP6GRE || kind == IPIP
}
