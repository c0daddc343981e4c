package spec

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// BGPPort is the TCP port of BGP (RFC 4271).
const BGPPort = 179

// BFDPort is the UDP port of BFD over one hop (RFC 5881).
const BFDPort = 3784

// BGPPasswordMax is the longest TCP MD5 password in bytes (linux,
// TCP_MD5SIG_MAXKEYLEN).
const BGPPasswordMax = 80

// BGP is a server's BGP speaker, a daemon that manages the kernel's routes with protocol
// RouteProtoBGP. A server has at most one. The running daemon applies changes; sessions
// that do not change stay up.
type BGP struct {
	Network  string
	AS       uint32     // own autonomous system, 1…2^32-2
	RouterID netip.Addr // IPv4, unique in the AS
	Hold     int        // hold time in seconds, 3…65535; keepalives are sent three times as often
	Restart  int        // seconds that routes stay while a daemon restarts (RFC 4724), 1…4095; 0: DefaultBGPRestart

	// ClusterID makes the server a route reflector for those of its neighbours that are
	// Client (RFC 4456): IPv4, the same for all reflectors of a network; invalid: none.
	ClusterID netip.Addr
	// Prefixes are what this server announces: the subnets it shares. Announcements of
	// neighbours that overlap them are refused.
	Prefixes []netip.Prefix // masked
	// Anycast are what it announces while it has them, and other servers too: subnets
	// within which it has an address or a device's network.
	Anycast []netip.Prefix `json:",omitempty"` // masked
	// Own are the shared subnets of all servers of the network. Only they are announced
	// to External neighbours, and announcements of these that overlap one of them are
	// refused (a default route overlaps nothing).
	Own       []netip.Prefix // masked
	Neighbors []BGPNeighbor
	// Forced are learned routes that may take over the traffic to the workstation, to
	// other servers and to the default gateway.
	Forced []PrefixRule `json:",omitempty"`
}

// DefaultBGPRestart is how many seconds routes stay while a daemon restarts: the default
// of most other speakers.
const DefaultBGPRestart = 120

// BGPNeighbor is one end of a BGP session of a server. Addr names it.
type BGPNeighbor struct {
	Addr  netip.Addr
	Local netip.Addr // own end of the session; invalid: the kernel's choice
	Name  string     // the neighbour's server name; "" for others
	AS    uint32     // the neighbour's; the server's own makes the session internal (iBGP)
	// External neighbours are not servers of the network: what they may announce, and
	// what is announced to them, is limited by BGP.Own, Import and Export. They may be
	// in the same AS: a route reflector of another operator, for example.
	External    bool
	Client      bool // a route reflector client of this server
	NextHopSelf bool // routes from External neighbours are announced to this one with ourselves as next hop

	Secret      string // names the file with the TCP MD5 password (RFC 2385) on the server; "": none. Never the password
	Multihop    int    // an eBGP neighbour may be this many hops away, 2…255; 0: it is on one of our subnets
	TTLSecurity bool   // packets from further away than Multihop, or one hop, are dropped (RFC 5082)

	// BFD is how many milliseconds apart packets are that show the neighbour that this
	// server is there (RFC 5880, over one hop); 0: none.
	BFD int `json:",omitempty"`

	MaxPrefixes int          // per address family; one more ends the session for good (RFC 4486); 0: no limit
	Import      []PrefixRule // which of its announcements are accepted
	Export      []PrefixRule // what is announced to it

	// Drain keeps traffic away from an External neighbour, both ways (RFC 8326): its
	// routes are preferred to none, and it is told the same of ours.
	Drain       bool     `json:",omitempty"`
	LocalPref   uint32   `json:",omitempty"` // LOCAL_PREF of its routes, and in the same AS of what it is told; 0: as they are, DefaultLocalPref
	MED         uint32   `json:",omitempty"` // MULTI_EXIT_DISC of what it is told; 0: none
	Prepend     int      `json:",omitempty"` // how many times more the own AS is in the paths that it is told
	Communities []string `json:",omitempty"` // A:B (RFC 1997), of what it is told
}

// PrefixRule is one line of a prefix list. The first line that matches decides; prefixes
// that no line matches are refused. An empty list permits everything, except for default
// routes in the Import of External neighbours: they must be listed.
type PrefixRule struct {
	Prefix netip.Prefix // masked
	GE, LE int          // range of prefix lengths below Prefix; both 0: Prefix alone; one 0: its length, or the family's longest
	Deny   bool
}

// Lengths is the range of prefix lengths that r matches.
func (r PrefixRule) Lengths() (least, most int) {
	if r.GE == 0 && r.LE == 0 {
		return r.Prefix.Bits(), r.Prefix.Bits()
	}
	least, most = r.GE, r.LE
	if least == 0 {
		least = r.Prefix.Bits()
	}
	if most == 0 {
		most = r.Prefix.Addr().BitLen()
	}
	return least, most
}

// Matches says whether r applies to p.
func (r PrefixRule) Matches(p netip.Prefix) bool {
	least, most := r.Lengths()
	return r.Prefix.Contains(p.Addr()) && p.Bits() >= r.Prefix.Bits() && least <= p.Bits() && p.Bits() <= most
}

func (r PrefixRule) String() string {
	var b line
	if r.Deny {
		b.add("deny", "")
	} else {
		b.add("permit", "")
	}
	b.add(r.Prefix.String())
	b.num("ge", r.GE)
	b.num("le", r.LE)
	return b.String()
}

// Head is the speaker without its neighbours and prefixes.
func (s BGP) Head() string {
	var b line
	b.add("bgp", s.Network)
	b.str("as", strconv.FormatUint(uint64(s.AS), 10))
	b.addr("router-id", s.RouterID)
	b.num("hold", s.Hold)
	b.num("restart", s.Restart)
	b.addr("cluster-id", s.ClusterID)
	b.str("own", strings.Join(texts(s.Own), ","))
	b.str("forced", strings.Join(texts(s.Forced), ","))
	return b.String()
}

// WhileHere says of an announced prefix that it is one of BGP.Anycast.
const WhileHere = "while it is here"

// lines is one line for the speaker, one per prefix and one per neighbour.
func (s *BGP) lines() []string {
	if s == nil {
		return nil
	}
	out := []string{s.Head()}
	for _, p := range s.Prefixes {
		out = append(out, "bgp announce "+p.String())
	}
	for _, p := range s.Anycast {
		out = append(out, "bgp announce "+p.String()+" "+WhileHere)
	}
	return append(out, sorted(s.Neighbors, BGPNeighbor.String)...)
}

// Session is the part of n that only a new session can change. Filters and the number of
// prefixes change within a session.
func (n BGPNeighbor) Session() string {
	n.Name, n.Import, n.Export, n.NextHopSelf, n.MaxPrefixes, n.BFD = "", nil, nil, false, 0, 0
	n.Drain, n.LocalPref, n.MED, n.Prepend, n.Communities = false, 0, 0, 0, nil
	return n.String()
}

// RestartsFor says whether the daemon must be started anew to change from s to want.
// Routes and traffic survive that (RFC 4724).
func (s *BGP) RestartsFor(want *BGP) bool {
	if s.AS != want.AS || s.RouterID != want.RouterID || s.Hold != want.Hold || s.Restart != want.Restart {
		return true
	}
	for _, n := range want.Neighbors {
		at := slices.IndexFunc(s.Neighbors, func(h BGPNeighbor) bool { return h.Addr == n.Addr })
		if at >= 0 && (s.Neighbors[at].Client != n.Client || n.Client && s.ClusterID != want.ClusterID) {
			return true
		}
	}
	return false
}

// Object names n in plans.
func (n BGPNeighbor) Object() string { return "bgp neighbor " + n.Addr.String() }

func (n BGPNeighbor) String() string {
	var b line
	b.add("bgp neighbor", n.Addr.String())
	b.str("as", strconv.FormatUint(uint64(n.AS), 10))
	b.str("name", n.Name)
	b.addr("local", n.Local)
	b.flag("external", n.External)
	b.flag("client", n.Client)
	b.flag("next-hop-self", n.NextHopSelf)
	b.str("secret", n.Secret)
	b.num("multihop", n.Multihop)
	b.flag("ttl-security", n.TTLSecurity)
	b.num("bfd", n.BFD)
	b.num("max-prefixes", n.MaxPrefixes)
	b.str("import", strings.Join(texts(n.Import), ","))
	b.str("export", strings.Join(texts(n.Export), ","))
	b.flag("drain", n.Drain)
	b.num("local-pref", int(n.LocalPref))
	b.num("med", int(n.MED))
	b.num("prepend", n.Prepend)
	b.str("communities", strings.Join(n.Communities, ","))
	return b.String()
}
