// Package spec is what passes between the two halves of flock: what one server must look
// like, as plain data. The workstation compiles it, the agent compares it with the
// kernel, and neither knows more of the other. Every object has a one-line text form
// (String); plans, goldens and checksums are made of these lines.
//
// It knows no kinds of network, no TOML, no netlink and no SSH; it computes only text,
// order and checksums.
package spec

// Numbers that mark flock's objects in a kernel.
const (
	// RouteProto marks flock's own routes (rtm_protocol). Unassigned in
	// iproute2's rt_protos.
	RouteProto = 70
	// RouteProtoBGP marks routes learned by flock's BGP daemon.
	RouteProtoBGP = 71
	// BGPMetric is the metric of these routes: lower than that of a DHCP client's
	// routes, higher than those of an interface's own routes and of routes set by hand,
	// and used by no other program.
	BGPMetric = 71
	// UnreachableMetric is the metric of Unreachable routes: any other route to the same
	// destination goes before it, whoever adds it.
	UnreachableMetric = 2_000_000_000
	// AliasPrefix starts the alias (IFLA_IFALIAS) of every link flock makes.
	AliasPrefix = "flock:"
	// IfNameMax is the longest interface name in bytes (IFNAMSIZ less the NUL).
	IfNameMax = 15
)

// Alias is the ownership mark of a link: flock:CLUSTER/NETWORK.
func Alias(cluster, network string) string { return AliasPrefix + cluster + "/" + network }

// Host is everything flock owns on one server for one cluster. Objects of ours that it
// does not list are removed by the agent; objects of others are left alone. The zero
// Host (except for Cluster, Store and Server) means that nothing of ours remains.
//
// Firewalld and UFW are no part of what a workstation sends: the agent adds them, from the
// rest, on a server that has these programs.
//
// Names and networks are unique per server. The order of the slices does not matter:
// texts and sums are sorted.
type Host struct {
	Cluster    string // cluster name, part of every ownership mark
	Store      string // id of the cluster file that this server belongs to
	Server     string // name of the server in that file
	Generation uint64 // generation of the cluster file this was compiled from; not part of Sum
	Made       string `json:",omitempty"` // when (RFC 3339) and by which command that generation was made; not part of Sum

	Links     []Link           `json:",omitempty"`
	Addrs     []Addr           `json:",omitempty"`
	Routes    []Route          `json:",omitempty"`
	Neighs    []Neigh          `json:",omitempty"`
	FDB       []FDB            `json:",omitempty"`
	Floods    []Flood          `json:",omitempty"`
	Members   []Member         `json:",omitempty"`
	Peers     []Peer           `json:",omitempty"`
	Gateways  []Gateway        `json:",omitempty"`
	Guards    []Guard          `json:",omitempty"`
	Doors     []Door           `json:",omitempty"`
	NATs      []NAT            `json:",omitempty"`
	Keeps     []PreserveSource `json:",omitempty"`
	Forwards  []Forward        `json:",omitempty"`
	Sysctls   []Sysctl         `json:",omitempty"`
	DHCPs     []DHCP           `json:",omitempty"`
	Envs      []SubnetEnv      `json:",omitempty"`
	Unmanaged []Unmanage       `json:",omitempty"`
	Attached  []Attachment     `json:",omitempty"`
	Firewalld []Unmanage       `json:",omitempty"`
	UFW       []Unmanage       `json:",omitempty"`
	Dockers   []DockerNet      `json:",omitempty"`
	Adopted   []Addr           `json:",omitempty"`
	BGP       *BGP             `json:",omitempty"`
	Claims    []Claim          `json:",omitempty"`
}

// IfName derives an interface name from base and suffix: "vxl0" and "vx" give "vxl0-vx".
// If that is longer than IfNameMax, base is cut and gets a few digits of its checksum,
// so that two long names stay different.
func IfName(base, suffix string) string {
	name := base + "-" + suffix
	if len(name) <= IfNameMax {
		return name
	}
	mark := checksum(base)[:4]
	return base[:IfNameMax-len(suffix)-len(mark)-1] + mark + "-" + suffix
}
