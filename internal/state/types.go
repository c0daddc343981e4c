// Package state owns the desired state and the TOML file that holds it: its types,
// strict loading, the lock, atomic saving and history. It does not know what the
// state means: it compiles nothing, connects to no server and prints nothing.
package state

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Schema is the version of the file format this program writes.
const Schema = 1

// Cluster is the whole file. A number tagged zero:"no" is never 0 in a file: without the
// key it was not given. In every network, what the operator asked for stands apart from
// Allocated, the numbers and addresses that flock assigned once: a file written by hand
// needs the desired state alone.
type Cluster struct {
	Schema     int                 `toml:"schema"`
	Writer     string              `toml:"flock,omitempty"`      // version of the program that wrote the file
	Name       string              `toml:"cluster,omitempty"`    // see CheckName
	ID         string              `toml:"id,omitempty"`         // random, made with the file: a server notes which file it belongs to
	Generation uint64              `toml:"generation,omitempty"` // counts changes of the desired state and of allocations
	Change     string              `toml:"change,omitempty"`     // the command that made this generation
	Saved      time.Time           `toml:"saved,omitzero"`       // when this generation was made; UTC, whole seconds
	Servers    map[string]*Server  `toml:"server,omitempty"`
	Networks   map[string]*Network `toml:"network,omitempty"`
	Gone       []Gone              `toml:"gone,omitempty"` // servers that left with something of flock's on them
	Clouds     []Cloud             `toml:"cloud,omitempty"`
}

// Cloud is what flock did in a cloud, in one region and by one login.
type Cloud struct {
	Kind    string       `toml:"name"`
	Region  string       `toml:"region,omitempty"`
	Profile string       `toml:"profile,omitempty"`
	Sum     string       `toml:"confirmed,omitempty"`    // of what it was last seen to have (ground.Cloud); empty: nothing of ours
	Tables  []string     `toml:"tables,omitempty"`       // the route tables that it concerns
	Checked []string     `toml:"were-checked,omitempty"` // interfaces whose source/destination check was on before
	Routes  []CloudRoute `toml:"route,omitempty"`        // ours, noted before they are made
}

// CloudRoute is a route of ours in a cloud's table.
type CloudRoute struct {
	Table string       `toml:"table"`
	To    netip.Prefix `toml:"to"`
	By    string       `toml:"by"` // what it leads to, as the cloud calls it
}

// Gone is a server that left the cluster, or was replaced, while it could not be reached:
// what is on it is removed when it answers again.
type Gone struct {
	Name     string `toml:"name"` // that it had
	Replaced bool   `toml:"replaced,omitempty"`
	Address  string `toml:"address,omitempty"` // this and the next four as Server has them
	User     string `toml:"user,omitempty"`
	Port     uint16 `toml:"port,omitempty" zero:"no"`
	Identity string `toml:"identity,omitempty"`
	Jump     string `toml:"jump,omitempty"`
	Machine  string `toml:"machine,omitempty"`  // machine id: what has another one there is another server
	HostKey  string `toml:"host-key,omitempty"` // fingerprint: SHA256:…
}

// Way is how it is logged in to, as a server.
func (g *Gone) Way() *Server {
	return &Server{Address: g.Address, User: g.User, Port: g.Port, Identity: g.Identity, Jump: g.Jump}
}

// Server is a Linux host that takes SSH, by its name in this cluster.
type Server struct {
	Address   string       `toml:"address,omitempty"`        // host name or IP as typed; empty: Name is an alias in ssh's config
	User      string       `toml:"user,omitempty"`           // empty: ssh's config, then the workstation's user
	Port      uint16       `toml:"port,omitempty" zero:"no"` // 0: ssh's config, then 22
	Identity  string       `toml:"identity,omitempty"`       // key file
	Jump      string       `toml:"jump,omitempty"`           // as ssh -J
	Interface string       `toml:"interface,omitempty"`      // default underlay interface or address; empty: that of the default route
	NAT       bool         `toml:"nat,omitempty"`            // it is behind NAT: others cannot connect to it
	Endpoint  string       `toml:"endpoint,omitempty"`       // HOST or HOST:PORT where WireGuard reaches it; empty: its underlay address
	Subnet    netip.Prefix `toml:"subnet,omitzero"`          // setsubnet: own container subnet, gateway's host bits kept
	Adopt     string       `toml:"adopt,omitempty"`          // setsubnet: the bridge of another program that has Subnet; empty: app0
	Born      string       `toml:"born,omitempty"`           // the name that its MAC addresses are made of; empty: its name

	Attached []Attachment `toml:"attached,omitempty"`

	Facts     *Facts     `toml:"facts,omitempty"`
	Confirmed *Confirmed `toml:"confirmed,omitempty"`
}

// Attachment is an interface that flock gives to a container on a server.
type Attachment struct {
	Container string       `toml:"container"`           // KIND/NAME, see spec.CheckContainer
	Interface string       `toml:"interface"`           // its name in the container
	Bridge    string       `toml:"bridge,omitempty"`    // a network's, or the server's own; empty: it is plugged into nothing
	Addrs     []netip.Addr `toml:"addresses,omitempty"` // fixed, one per subnet at most; none: the container asks by DHCP
	Moved     bool         `toml:"moved,omitempty"`     // the container's own interface of that name, if it has one, is moved to Bridge
	MAC       string       `toml:"mac,omitempty"`       // of a guest's own interface that is moved, by which it is known; empty: it follows from the names
}

// Facts is what a server reported when it was last contacted.
type Facts struct {
	Machine    string         `toml:"machine,omitempty"`  // machine id
	HostKey    string         `toml:"host-key,omitempty"` // fingerprint of what sshd showed: SHA256:…
	Arch       string         `toml:"arch,omitempty"`     // GOARCH
	Place      string         `toml:"place,omitempty"`    // the directory of the agent's programs; empty: the first of spec.Places
	Init       string         `toml:"init,omitempty"`     // "systemd" or ""
	Default4   string         `toml:"default4,omitempty"`
	Default6   string         `toml:"default6,omitempty"`
	Metric4    int            `toml:"metric4,omitempty"` // of the default route
	Metric6    int            `toml:"metric6,omitempty"`
	Interfaces []Interface    `toml:"interface,omitempty"`
	Prefixes   []netip.Prefix `toml:"prefixes,omitempty"`  // foreign prefixes there, default routes aside
	Routed     []netip.Prefix `toml:"routed,omitempty"`    // those with a gateway, and routes with a gateway that routing daemons learned within the interfaces' own networks
	Local      []netip.Prefix `toml:"local,omitempty"`     // without a gateway on devices that are not among Interfaces
	Awaited    []netip.Prefix `toml:"awaited,omitempty"`   // networks that libvirt defines there
	WireGuard  string         `toml:"wireguard,omitempty"` // how a WireGuard device can be made there: kernel, userspace; empty: not at all
	Cloud      []CloudNIC     `toml:"cloud,omitempty"`     // what the metadata service there says, if a network needs that
}

// CloudNIC is an interface of a server in a cloud.
type CloudNIC struct {
	Cloud  string     `json:"cloud" toml:"name"`
	Addr   netip.Addr `json:"address" toml:"address"`
	Region string     `json:"region,omitempty" toml:"region,omitempty"`
	VPC    string     `json:"vpc,omitempty" toml:"vpc,omitempty"`
	ID     string     `json:"id,omitempty" toml:"id,omitempty"`
}

// Interface is an underlay device.
type Interface struct {
	Name   string         `toml:"name"`
	MTU    int            `toml:"mtu"` // bytes
	Addrs  []netip.Prefix `toml:"addresses,omitempty"`
	Direct []netip.Prefix `toml:"direct,omitempty"` // without a gateway, besides the networks of Addrs
}

// Confirmed is the last spec that a server confirmed.
type Confirmed struct {
	Generation uint64    `toml:"generation"`
	Sum        string    `toml:"spec,omitempty"` // spec.Host.Sum; empty: nothing of ours
	Time       time.Time `toml:"time"`
}

// DHCP modes.
const (
	DHCPSingle      = "single"      // one server runs DHCP for the whole segment
	DHCPDistributed = "distributed" // every server runs it, for its own containers
	DHCPOff         = "off"
)

// WireGuard topologies.
const (
	Mesh = "mesh" // every member has a tunnel to every other
	Hub  = "hub"  // every member has a tunnel to the lead
)

// Reflector is a mode of BGP networks; the other is Mesh.
const Reflector = "reflector" // members have sessions with the route reflectors only (RFC 4456)

// Sessions says which members of a network have BGP sessions with each other.
type Sessions struct {
	Mode       string   `toml:"mode"` // Mesh, Reflector
	Reflectors []string `toml:"reflectors,omitempty"`
}

// External is a BGP speaker outside of the network that a member has a session with: a
// top-of-rack router, another AS, a route reflector of another operator.
type External struct {
	Server      string     `toml:"server"`                 // the member
	Address     netip.Addr `toml:"address"`                // the router's
	AS          uint32     `toml:"as"`                     // the router's; the AS of the network makes the session internal
	Password    string     `toml:"password-id,omitempty"`  // names the file on the server that holds the TCP MD5 password; random
	BFD         int        `toml:"bfd,omitempty"`          // milliseconds between BFD packets; 0: none
	Multihop    int        `toml:"multihop,omitempty"`     // hops that it may be away; 0: it is on a subnet of the server
	TTLSecurity bool       `toml:"ttl-security,omitempty"` // RFC 5082
	MaxPrefixes int        `toml:"max-prefixes,omitempty"` // per address family; one more ends the session; 0: no limit
	Accept      []string   `toml:"accept,omitempty"`       // PREFIX[ ge N][ le N]: what is accepted; none: everything but a default route
	Announce    []string   `toml:"announce,omitempty"`     // PREFIX[ ge N][ le N]: which shared subnets are announced; none: all
	Backup      bool       `toml:"backup,omitempty"`       // others go before it, unless LocalPref and Prepend say how much: BackupLocalPref, BackupPrepend
	Shutdown    bool       `toml:"shutdown,omitempty"`     // traffic is kept away from it, both ways (RFC 8326)
	LocalPref   uint32     `toml:"local-pref,omitempty"`   // how much its routes are preferred; 0: as others, 100
	MED         uint32     `toml:"med,omitempty"`          // of what is announced to it; 0: none
	Prepend     int        `toml:"prepend,omitempty"`      // how many times more than once its own AS is in the paths that it is told
	Communities []string   `toml:"community,omitempty"`    // A:B (RFC 1997), of what is announced to it
	Force       bool       `toml:"force,omitempty"`        // what is accepted may take over the traffic to the workstation, to other servers and to the default gateway
}

// Network is one network of any kind. Options that its kind does not have are zero; the
// kind refuses others.
type Network struct {
	Type       string         `toml:"type"`
	Born       string         `toml:"born,omitempty"`     // the name that its MAC addresses are made of; empty: its name
	Subnets    []netip.Prefix `toml:"subnet,omitempty"`   // masked; at most one per family
	More       []netip.Prefix `toml:"add-pool,omitempty"` // pools: further ones, for members that Subnets have no room for; masked
	Interface  string         `toml:"interface,omitempty"`
	Bridge     string         `toml:"bridge,omitempty"`
	VNI        uint32         `toml:"vni,omitempty" zero:"no"`
	Port       uint16         `toml:"port,omitempty" zero:"no"`
	Domain     string         `toml:"domain,omitempty"`
	Group      netip.Addr     `toml:"group,omitzero"` // multicast group
	DHCP       string         `toml:"dhcp,omitempty"` // DHCPSingle, DHCPDistributed, DHCPOff
	DHCPServer string         `toml:"dhcp-server,omitempty"`
	MTU        int            `toml:"mtu,omitempty" zero:"no"` // bytes; 0: from the underlay
	GBP        bool           `toml:"gbp,omitempty"`
	VLAN       uint16         `toml:"vlan,omitempty" zero:"no"` // bridge: tag of its frames on the members' interfaces; 0: none
	NoMasq     bool           `toml:"no-masquerade,omitempty"`
	Isolate    bool           `toml:"isolate,omitempty"`             // containers cannot connect to the members' own services
	SubnetLens []int          `toml:"subnet-len,omitempty"`          // pools: prefix length of a member's subnet, per subnet
	Direct     bool           `toml:"direct-routing,omitempty"`      // pools: no encapsulation between members of one segment
	Topology   string         `toml:"topology,omitempty"`            // Mesh, Hub
	Keepalive  int            `toml:"keepalive,omitempty" zero:"no"` // seconds, by every member; 0: 25, by those behind NAT
	Mesh       netip.Prefix   `toml:"mesh,omitzero"`                 // l2: subnet of the WireGuard mesh below the segment
	Lead       string         `toml:"lead,omitempty"`                // wireguard: the first member, hub and relay
	Members    []string       `toml:"members,omitempty"`             // in the order they joined: SERVER, SERVER:INTERFACE, SERVER:IP
	Moves      []string       `toml:"move-addresses,omitempty"`      // bridge: members whose interface's addresses, and routes by it, are the bridge's
	Shares     []string       `toml:"shares,omitempty"`              // container subnets behind members: SERVER:CIDR
	Anycast    []netip.Prefix `toml:"anycast,omitempty"`             // those of Shares' subnets that several members may have, each while it has them
	Forced     []string       `toml:"forced,omitempty"`              // those of Shares that may contain a server's DNS resolver, or be /3 or wider
	Tables     []string       `toml:"route-table,omitempty"`         // clouds: route tables, by id; none: those of the members' subnets
	Region     string         `toml:"region,omitempty"`              // clouds: where the members are; empty: as they say
	Project    string         `toml:"project,omitempty"`             // gce: where the members are; empty: as they say
	Profile    string         `toml:"profile,omitempty"`             // clouds: the login, by its name in the cloud's own configuration
	Docker     []string       `toml:"docker,omitempty"`              // servers on which it is a network of Docker's and Podman's too; AllMembers: all that have one of them

	// Tunnels only: networks of two members, the tunnel's ends.
	Tunnel bool   `toml:"tunnel,omitempty"`        // an ipip tunnel, not a network of that type; gre always is a tunnel
	Key    uint32 `toml:"key,omitempty" zero:"no"` // GRE's; 0: none
	TTL    uint8  `toml:"ttl,omitempty" zero:"no"` // of the outer header; 0: 64

	// BGP only.
	AS         uint32     `toml:"as,omitempty" zero:"no"`   // autonomous system of the members
	Mode       string     `toml:"mode,omitempty"`           // Mesh, Reflector
	Hold       int        `toml:"hold,omitempty" zero:"no"` // hold time in seconds
	BFD        int        `toml:"bfd,omitempty"`            // milliseconds between BFD packets of members; 0: none
	Reflectors []string   `toml:"reflectors,omitempty"`     // members that reflect
	Before     *Sessions  `toml:"before,omitempty"`         // sessions that stay until those of Mode and Reflectors are up
	Externals  []External `toml:"external,omitempty"`

	Allocated map[string]*Allocation `toml:"allocated,omitempty"` // by server
}

// AllMembers stands in Docker for all members, those to come too.
const AllMembers = "*"

// Allocation is what flock assigned to a member, once, for as long as it is a member.
type Allocation struct {
	ID      uint16         `toml:"id"`                  // unique in the network; in the MAC addresses
	Addrs   []netip.Addr   `toml:"addresses,omitempty"` // the server's own addresses, one per subnet
	Pool    []netip.Prefix `toml:"pool,omitempty"`      // distributed DHCP: the blocks whose addresses it hands out
	Full    bool           `toml:"full,omitempty"`      // all its DHCP addresses were leased when it was last contacted
	Subnets []netip.Prefix `toml:"subnet,omitempty"`    // pools: its container subnets, one per subnet of the network
	Docker  netip.Prefix   `toml:"docker,omitzero"`     // what Docker and Podman hand out there: its lower and its upper half
	Mesh    netip.Addr     `toml:"mesh,omitzero"`       // l2: its address in the WireGuard mesh
	Key     string         `toml:"key,omitempty"`       // public key of its WireGuard device; the server holds the private one
}

// ServerNames returns the names of all servers, sorted.
func (c *Cluster) ServerNames() []string { return slices.Sorted(maps.Keys(c.Servers)) }

// NetworkNames returns the names of all networks, sorted.
func (c *Cluster) NetworkNames() []string { return slices.Sorted(maps.Keys(c.Networks)) }
