package spec

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the workstation and the agent say to each other. One Request, any number
// of progress Replies, one final Reply; several Requests follow on one session. All the
// while the workstation says every few seconds that it is there (OpAlive), and the agent
// too while it works on a request (a Reply with nothing in it).

// Operations of a Request.
const (
	OpFacts     = "facts"   // look, take no lock: Reply.Facts
	OpPlan      = "plan"    // take the server's lock, compare Want with the kernel: Reply.Plan, Reply.Facts
	OpApply     = "apply"   // make it so, with the undo armed: Reply.Report
	OpConfirm   = "confirm" // disarm the undo, keep Want as the server's last spec
	OpStatus    = "status"  // as plan, without the lock and without claims
	OpKeys      = "keys"    // take the lock; see that there is a key pair for each of Keys: Reply.Keys
	OpBGP       = "bgp"     // ask the cluster's BGP daemon, take no lock: Reply.BGP
	OpHandshake = "speak"   // take the lock; see that Peers have shaken hands: Reply.Silent
	OpProbe     = "probe"   // take no lock; see whether Probes are answered: Reply.Unheard
	OpPurge     = "purge"   // remove everything of the cluster whatever store made it: Reply.Report
	OpAlive     = "alive"   // the workstation is there; nothing is answered
)

// Request is what the workstation asks of an agent.
type Request struct {
	Op     string
	Want   *Host         `json:",omitempty"` // plan, apply, status
	Look   bool          `json:",omitempty"` // plan: take no lock, a person is asked before anything is locked
	Undo   time.Duration `json:",omitempty"` // apply: go back after this long without a confirm
	Settle bool          `json:",omitempty"` // apply: what can cut nobody off (CanCutOff) is confirmed at once, unless somebody leaves a tunnel
	Holder string        `json:",omitempty"` // who asks, for others who wait on the lock: admin@laptop, flock addnetwork
	Change string        `json:",omitempty"` // plan: the same for all servers that one command asks, and no other command's
	Devs   []string      `json:",omitempty"` // facts, plan: devices or addresses the caller wants to know about
	Keys   []string      `json:",omitempty"` // keys: WireGuard devices; plan, status: those whose keys are asked for, none is made
	Rotate bool          `json:",omitempty"` // keys: new pairs, in use from the apply on whose Link.Key names them
	Peers  []Peer        `json:",omitempty"` // speak: of Want's, with an endpoint

	Probes []Probe `json:",omitempty"` // probe

	Leases map[string]string `json:",omitempty"` // apply: Plan.Leases of the servers that handed out so far
	// Untouched are the networks in whose subnets no server ever handed out an
	// address. In others a server that starts to asks the segment what is in use.
	Untouched []string `json:",omitempty"` // apply

	// Secrets are passwords by the id that a BGPNeighbor.Secret names. The agent
	// keeps them in files of root; one that it has already need not come again. A
	// plan only looks at which there are: one that is neither here nor on the server
	// is a problem.
	Secrets map[string]string `json:",omitempty"` // plan, apply
}

// Probe tries the way to another member of a network by a device of it. Nothing on
// the server changes: with MAC the member is asked by ARP for its IPv4 address, which
// its kernel answers whatever its firewall says of IP, otherwise by an ICMP echo;
// with Key a packet is sent to it, and what counts is a WireGuard handshake that is
// not older than three minutes.
type Probe struct {
	Link string
	From netip.Addr `json:",omitzero"` // own address on Link; invalid with Key
	To   netip.Addr
	MAC  string `json:",omitempty"` // of the other's device; IPv4 only
	Key  string `json:",omitempty"` // WireGuard: the other's public key, base64
}

// Reply is what an agent answers. Exactly one Reply with Done follows each Request.
type Reply struct {
	Done     bool    `json:",omitempty"`
	Progress string  `json:",omitempty"` // one line, while it works
	Facts    *Facts  `json:",omitempty"`
	Plan     *Plan   `json:",omitempty"`
	Report   *Report `json:",omitempty"`
	// Keys are public keys by device: to keys of all, to plan and status of those that
	// have a pair. The private ones never leave the server. A pair that no apply named
	// goes at the end of the session.
	Keys   map[string]string `json:",omitempty"`
	Silent []Peer            `json:",omitempty"` // speak: those of Peers that never answered
	// Unheard are those of Probes that nobody answered.
	Unheard []Probe    `json:",omitempty"`
	BGP     *BGPStatus `json:",omitempty"` // nil to OpBGP: the server runs no daemon for the cluster
	Error   *Problem   `json:",omitempty"` // the request as a whole came to nothing
}

// Problem is an error that travels: what, where on the server, what next.
type Problem struct {
	What  string
	Where string `json:",omitempty"`
	Next  string `json:",omitempty"`
}

func (p *Problem) Error() string { return p.What }

// Facts is what a server is like, as far as compiling and checking needs it.
type Facts struct {
	Hostname   string
	Machine    string // machine id: two names for one server are noticed by it
	Arch       string // GOARCH
	Kernel     string // release
	Init       string // "systemd" or ""
	Interfaces []Interface
	Default4   string         `json:",omitempty"` // device of the IPv4 default route, what the BGP daemon learned aside
	Default6   string         `json:",omitempty"`
	Metric4    int            `json:",omitempty"` // metric of that route
	Metric6    int            `json:",omitempty"`
	Prefixes   []netip.Prefix `json:",omitempty"` // foreign connected and routed prefixes, default routes aside
	Routed     []netip.Prefix `json:",omitempty"` // what a gateway leads to, in the main table; of what routing daemons learned, that within the networks of Interfaces
	Local      []netip.Prefix `json:",omitempty"` // what is reached without a gateway by devices that are not among Interfaces: container engines' bridges; and host addresses there
	Awaited    []netip.Prefix `json:",omitempty"` // IPv4 networks that libvirt is to make, running or not: it does not start one that the main table has a route to
	WireGuard  string         `json:",omitempty"` // what a WireGuard device would be: KernelDevice, UserspaceDevice, "" for neither
	Agent      string         // version of the agent
}

// What a WireGuard device can be on a server.
const (
	KernelDevice    = "kernel"
	UserspaceDevice = "userspace" // a process of the agent's program on /dev/net/tun
)

// Interface is an underlay device of a server.
type Interface struct {
	Name   string
	MTU    int            // bytes
	Addrs  []netip.Prefix // global unicast, host bits kept
	Direct []netip.Prefix `json:",omitempty"` // prefixes reached by it without a gateway, beside the networks of Addrs
}

// Actions of a Step.
const (
	Add    = "+"
	Change = "~"
	Remove = "-"
)

// LosesBridge begins the Detail of a Step that removes a bridge with interfaces of
// others on it; their names follow.
const LosesBridge = "without it are its ports "

// Step is one change to one object. It prints as "~ link vxl0: mtu 1400 -> 1450".
type Step struct {
	Action string // Add, Change, Remove
	Object string // "link vxl0", "addr 10.0.4.1/24 dev vxl0": stable, names the object
	Detail string `json:",omitempty"` // for Change: what, from what, to what; for Add: the attributes
}

func (s Step) String() string {
	if s.Detail == "" {
		return s.Action + " " + s.Object
	}
	return s.Action + " " + s.Object + ": " + s.Detail
}

// FewSteps are the first of steps in one line, and how many more there are.
func FewSteps(steps []Step) string {
	const most = 3
	var few []string
	for _, s := range steps[:min(most, len(steps))] {
		few = append(few, s.String())
	}
	if more := len(steps) - most; more > 0 {
		few = append(few, "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(few, "; ")
}

// Plan is what apply would do, and what stands in its way.
type Plan struct {
	Steps    []Step    `json:",omitempty"`
	Problems []Problem `json:",omitempty"` // conflicts: apply is refused while there is one
	Sum      string    `json:",omitempty"` // Sum of the spec the server was last left with

	// Leases are those that the server gave in networks whose DHCP leaves it, by
	// network: dnsmasq's lease files.
	Leases map[string]string `json:",omitempty"`

	Pools []PoolUse `json:",omitempty"` // of networks whose IPv4 addresses the server hands out, as it does so far

	Sessions []Session `json:",omitempty"` // status: with the peers of the WireGuard devices, by device and key

	// Loose are interfaces of containers and guests that are up and lead nowhere, by
	// name: no bridge, no address, no route. Bridges are those of ours they may have been on.
	Loose   []string `json:",omitempty"`
	Bridges []string `json:",omitempty"` // empty where nothing is loose
}

// PoolUse is how many of the IPv4 addresses that a server hands out are leased.
type PoolUse struct {
	Network    string
	Used, Size int // addresses
}

// Full says that a container that comes now gets no address.
func (p PoolUse) Full() bool { return p.Used >= p.Size }

// NearlyFull says that less than an eighth is left.
func (p PoolUse) NearlyFull() bool { return 8*p.Used >= 7*p.Size }

// Session is how a WireGuard device and one of its peers get on.
type Session struct {
	Link      string
	Key       string    // the peer's public key, base64
	Endpoint  string    `json:",omitempty"` // where it was last heard or sent to: ADDRESS:PORT; "": nowhere yet
	Handshake time.Time `json:",omitzero"`  // of the last one, by the server's clock; zero: none yet
	Received  int64     // bytes since the device or the peer was made
	Sent      int64
}

// RemainsMax is how many things that are left on a server are named.
const RemainsMax = 50

// Report is what apply did.
type Report struct {
	Steps   []Step   `json:",omitempty"` // done, in order
	Left    int      // objects of ours left on the server, files and units included
	Remains []string `json:",omitempty"` // the first of them by name, RemainsMax at most
	// Looked: the kernel and the disk were read again after all that, and Left is what was
	// found. Of what was not looked at nobody says that nothing is left.
	Looked  bool     `json:",omitempty"`
	Pending []Step   `json:",omitempty"` // what did not settle
	Undone  bool     `json:",omitempty"` // the server went back to what it was
	Error   *Problem `json:",omitempty"`

	Confirmed bool `json:",omitempty"` // apply with Settle: no confirm is waited for
}

// CanCutOff says whether steps may keep new connections from a server. Entries of
// our own tunnels cannot, and most changes are of that sort: a member that joins
// costs the others nothing else. The proof by a fresh connection is spared then, the
// more so as sshd holds a connection without a login against its source (OpenSSH
// 9.8, PerSourcePenalties).
func CanCutOff(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool {
		kind, _, _ := strings.Cut(s.Object, " ")
		return !slices.Contains([]string{"fdb", "neigh", "peer", "dhcp"}, kind)
	})
}
