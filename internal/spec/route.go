package spec

import (
	"net/netip"
	"strings"
)

// Route is a route of ours, in the main table, with protocol Proto.
type Route struct {
	// Unreachable makes the kernel refuse packets for Dst that no other route matches,
	// so that they do not leave by a default route. Such a route has only Dst, Proto,
	// and the metric UnreachableMetric.
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

// Flood lists where a VXLAN device sends broadcast, multicast and frames to unknown
// MACs. To may contain the device's own Local, which is skipped: all members of a
// network share one list then, and memory and checksums grow linearly with the members
// instead of quadratically.
type Flood struct {
	Link string
	To   *AddrSet
}

// Member is another member of a UDP device of ours: packets to Subnets are sent to Addr,
// at the port of the device, and packets from Subnets are accepted from Addr only.
type Member struct {
	Link    string
	Addr    netip.Addr     // in the underlay; one Member per Link and Addr
	Subnets []netip.Prefix // masked, sorted
}

// Peer is another end of a WireGuard device of ours. Key names it there.
type Peer struct {
	Link      string
	Key       string         // public key, base64
	Endpoint  string         // HOST:PORT, [IPv6]:PORT; HOST may be a DNS name; "": the peer sends the first packet
	Allowed   []netip.Prefix // masked, sorted, no two peers of a link overlap in full
	Keepalive int            // seconds between packets that keep a NAT's mapping alive; 0: none
	Preshared bool           `json:",omitempty"` // found only: it has a preshared key
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

// Object names a peer as a Step does: by the first characters of its key.
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
