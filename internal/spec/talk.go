package spec

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How the workstation and the agent talk: one Request, any number of progress Replies,
// one final Reply; several Requests follow on one session. Every few seconds the
// workstation sends OpAlive; while the agent works on a request, it sends an empty Reply
// as often.

// Operations of a Request.
const (
	OpFacts     = "facts"    // take no lock: Reply.Facts
	OpPlan      = "plan"     // take the server's lock, compare Want with the kernel: Reply.Plan, Reply.Facts
	OpApply     = "apply"    // change the kernel, with the undo armed: Reply.Report
	OpConfirm   = "confirm"  // disarm the undo, store Want as the server's last spec
	OpStatus    = "status"   // as plan, without the lock and without claims
	OpKeys      = "keys"     // take the lock; make the key pairs of Keys that are missing: Reply.Keys
	OpBGP       = "bgp"      // ask the cluster's BGP daemon, take no lock: Reply.BGP
	OpHandshake = "speak"    // take the lock; wait for a handshake with each of Peers: Reply.Silent
	OpNets      = "nets"     // take no lock: Reply.Containers
	OpProbe     = "probe"    // take no lock; send Probes: Reply.Unheard
	OpMeasure   = "measure"  // take no lock; send Echoes: Reply.Echoes, Reply.Callers
	OpBulk      = "bulk"     // take no lock; open ports, or send data to those of others: Reply.Bulk
	OpUnderlay  = "underlay" // the first takes the lock; send and hear packets below all networks: Reply.Underlay
	OpDoctor    = "doctor"   // take no lock; look at what is beside flock: Reply.Doctor
	OpTrace     = "trace"    // take no lock; ask the kernel, send and hear a packet: Reply.Trace
	OpCapture   = "capture"  // take no lock; take packets of a device: Reply.Capture
	OpCopies    = "copies"   // take no lock: Reply.Copies
	OpPurge     = "purge"    // remove everything of the cluster, whichever cluster file made it: Reply.Report
	OpAlive     = "alive"    // the workstation is still there; it is not answered
)

// Alive is the JSON of a request with OpAlive.
const Alive = `{"Op":"` + OpAlive + `"}`

// Request is what the workstation asks of an agent.
type Request struct {
	Op     string
	Want   *Host         `json:",omitempty"` // plan, apply, status
	Look   bool          `json:",omitempty"` // plan: take no lock, a person is asked before anything is locked
	Undo   time.Duration `json:",omitempty"` // apply: undo after this long without a confirm
	Settle bool          `json:",omitempty"` // apply: confirm at once what cannot cut the server off (CanCutOff), unless a member leaves a tunnel
	Holder string        `json:",omitempty"` // who asks, for others who wait on the lock: admin@laptop, flock addnetwork
	Change string        `json:",omitempty"` // plan: id of the command, the same on all servers that it asks
	Devs   []string      `json:",omitempty"` // facts, plan: devices or addresses the caller wants to know about
	Cloud  string        `json:",omitempty"` // facts, plan, status: the cloud whose metadata service is asked: aws, gce, ali, azure
	Keys   []string      `json:",omitempty"` // keys: WireGuard devices; plan, status: those whose public keys are wanted, no pair is made
	Rotate bool          `json:",omitempty"` // keys: new pairs, in use from the apply on whose Link.Key names them
	// Former are the names that WireGuard devices of Keys had before: their pairs stay.
	Former map[string]string `json:",omitempty"` // plan, status, keys
	Peers  []Peer            `json:",omitempty"` // speak: of Want's, with an endpoint
	BGP    *BGPRequest       `json:",omitempty"` // bgp: what else is asked of the daemon than its status; nil: nothing

	Probes []Probe `json:",omitempty"` // probe; status: sent where nothing differs
	Echoes []Echo  `json:",omitempty"` // measure
	Times  int     `json:",omitempty"` // measure: requests on each way, at most EchoMost; 0: a few

	Bulk *BulkRequest `json:",omitempty"` // bulk

	Underlay *UnderlayRequest `json:",omitempty"` // underlay

	Doctor *DoctorRequest `json:",omitempty"` // doctor
	Trace  *TraceRequest  `json:",omitempty"` // trace

	Capture *CaptureRequest `json:",omitempty"` // capture

	Copy string `json:",omitempty"` // apply: the cluster file, compressed by gzip, in base64; it is kept once the change is confirmed

	Leases map[string]string `json:",omitempty"` // apply: Plan.Leases of the servers that ran DHCP so far
	// Untouched are the networks in whose subnets no server ever ran DHCP. In others, a
	// server that starts to probes which addresses are in use.
	Untouched []string `json:",omitempty"` // apply

	// Secrets are passwords by the id in BGPNeighbor.Secret. The agent stores them in
	// files that only root reads; those that it has already need not be sent again. A
	// plan only checks that each is here or on the server: otherwise it reports a
	// problem.
	Secrets map[string]string `json:",omitempty"` // plan, apply
}

// Probe tests whether packets reach another member of a network through one of its
// devices. Nothing on the server changes. With MAC the agent sends ARP requests for the
// member's IPv4 address, which the other kernel answers whatever its firewall does with
// IP; without it, an ICMP echo. With Key it sends a packet and waits for a WireGuard
// handshake that is at most three minutes old.
type Probe struct {
	Link string
	From netip.Addr `json:",omitzero"` // own address on Link; invalid with Key
	To   netip.Addr
	MAC  string `json:",omitempty"` // of the other's device; IPv4 only
	Key  string `json:",omitempty"` // WireGuard: the other's public key, base64
	// Below is where the other server is below the network; invalid: not known.
	Below netip.Addr `json:",omitzero"`
}

// Reply is what an agent answers. Exactly one Reply with Done follows each Request.
type Reply struct {
	Done     bool    `json:",omitempty"`
	Progress string  `json:",omitempty"` // one line, while it works
	Facts    *Facts  `json:",omitempty"`
	Plan     *Plan   `json:",omitempty"`
	Report   *Report `json:",omitempty"`
	// Keys are public keys by device: all of them to keys; to plan and status those that
	// exist. Private keys never leave the server. A pair that no apply used is removed
	// at the end of the session.
	Keys   map[string]string `json:",omitempty"`
	Silent []Peer            `json:",omitempty"` // speak: those of Peers without a handshake
	// Unheard are those of Probes that nobody answered. Probed says of a status that they
	// were sent.
	Unheard []Probe  `json:",omitempty"`
	Probed  bool     `json:",omitempty"`
	Echoes  []Echoed `json:",omitempty"` // measure: of each of them, in their order
	// Callers are addresses whose own requests came in meanwhile, sorted, each once.
	Callers  []netip.Addr   `json:",omitempty"` // measure
	Bulk     *BulkReply     `json:",omitempty"`
	Underlay *UnderlayReply `json:",omitempty"`
	Doctor   *DoctorReply   `json:",omitempty"`
	Trace    *TraceReply    `json:",omitempty"`
	Capture  *CaptureReply  `json:",omitempty"`
	Copies   []Copied       `json:",omitempty"` // copies: of each cluster on the server
	BGP      *BGPStatus     `json:",omitempty"` // nil to OpBGP: the server runs no daemon for the cluster
	// Containers are all that were found, and last one without a name whose interfaces
	// are those plugged into our bridges that lead to none of them.
	Containers []Container `json:",omitempty"`
	Error      *Problem    `json:",omitempty"` // the request failed as a whole
}

// Problem is an error in a message: what, where on the server, what next.
type Problem struct {
	What  string
	Where string `json:",omitempty"`
	Next  string `json:",omitempty"`
}

func (p *Problem) Error() string { return p.What }

// Facts is what compiling and checking need to know of a server.
type Facts struct {
	Hostname   string
	Machine    string // machine id: it shows two names of one server
	Arch       string // GOARCH
	Kernel     string // release
	Init       string // "systemd" or ""
	Interfaces []Interface
	Default4   string         `json:",omitempty"` // device of the IPv4 default route, not counting routes that BGP learned
	Default6   string         `json:",omitempty"`
	Metric4    int            `json:",omitempty"` // metric of that route
	Metric6    int            `json:",omitempty"`
	Prefixes   []netip.Prefix `json:",omitempty"` // foreign connected and routed prefixes, default routes aside
	Routed     []netip.Prefix `json:",omitempty"` // destinations with a gateway in the main table; of those that routing daemons learned, only the ones within the networks of Interfaces
	Local      []netip.Prefix `json:",omitempty"` // destinations without a gateway on devices that are not among Interfaces (bridges of container engines), and host addresses there
	Refused    []netip.Prefix `json:",omitempty"` // of Routed those that lead nowhere: blackhole, unreachable, prohibit, throw
	Awaited    []netip.Prefix `json:",omitempty"` // IPv4 networks that libvirt defines, running or not: it does not start one that the main table has a route to
	WireGuard  string         `json:",omitempty"` // how a WireGuard device can be made: KernelDevice, UserspaceDevice, "": not at all
	Agent      string         // version of the agent
	Cloud      []CloudNIC     `json:",omitempty"` // what the metadata service says, if it was asked and answered
	Place      string         `json:",omitempty"` // which of Places it is in; "": the first. The workstation's to say, not the agent's
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
	Direct []netip.Prefix `json:",omitempty"` // prefixes on it without a gateway, besides the networks of Addrs
}

// CloudNIC is an interface of a server in a cloud, as the metadata service there says.
type CloudNIC struct {
	Cloud  string     // whose service it is: aws, gce, ali, azure
	Addr   netip.Addr // its own, in the cloud
	Region string
	VPC    string // its network, by its id
	ID     string // how the cloud calls it, or the server
}

// Actions of a Step.
const (
	Add    = "+"
	Change = "~"
	Remove = "-"
)

// LosesBridge begins the Detail of a Step that removes a bridge to which interfaces of
// others are attached; their names follow.
const LosesBridge = "without it are its ports "

// Step is one change to one object. It prints as "~ link vxl0: mtu 1400 -> 1450".
type Step struct {
	Action string // Add, Change, Remove
	Object string // names the object: "link vxl0", "addr 10.0.4.1/24 dev vxl0"; it never changes
	Detail string `json:",omitempty"` // for Change: what, from what, to what; for Add: the attributes
}

func (s Step) String() string {
	if s.Detail == "" {
		return s.Action + " " + s.Object
	}
	return s.Action + " " + s.Object + ": " + s.Detail
}

// FewSteps lists the first of steps in one line, and how many more there are.
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

// Plan is what apply would do, and what prevents it.
type Plan struct {
	Steps    []Step    `json:",omitempty"`
	Problems []Problem `json:",omitempty"` // apply is refused while there is one
	Sum      string    `json:",omitempty"` // Sum of the spec that the server last confirmed

	Generation uint64 `json:",omitempty"` // of the cluster file that this spec was made from
	Made       string `json:",omitempty"` // its Host.Made

	// Leases are dnsmasq's lease files, by network, of networks whose DHCP moves to
	// another server.
	Leases map[string]string `json:",omitempty"`

	VNIs []uint32 `json:",omitempty"` // of VXLAN devices that are not the cluster's

	// Own are the addresses of OwnBridges, where a bridge of the server's own is wanted.
	Own []Addr `json:",omitempty"`

	Pools []PoolUse `json:",omitempty"` // of the networks in which the server runs DHCP for IPv4 now

	Sessions []Session `json:",omitempty"` // status: with the peers of the WireGuard devices, by device and key
	Clock    time.Time `json:",omitzero"`  // the server's, when it looked at Sessions

	// Loose are interfaces of containers and guests that are up without a bridge, an
	// address or a route, by name. Bridges are the bridges of ours that they may have
	// been attached to.
	Loose   []string `json:",omitempty"`
	Bridges []string `json:",omitempty"` // empty where nothing is loose

	// Awaited are containers of Want that are not there: they are attached when they come. A
	// DockerNet's Object stands for one that waits for Docker or Podman.
	Awaited []string `json:",omitempty"`
}

// PoolUse is how many of the IPv4 addresses that a server hands out are leased.
type PoolUse struct {
	Network    string
	Used, Size int // addresses
}

// Full says that a new container gets no address.
func (p PoolUse) Full() bool { return p.Used >= p.Size }

// NearlyFull says that less than an eighth of the addresses is free.
func (p PoolUse) NearlyFull() bool { return 8*p.Used >= 7*p.Size }

// Session is the state of one peer of a WireGuard device.
type Session struct {
	Link      string
	Key       string    // the peer's public key, base64
	Endpoint  string    `json:",omitempty"` // where packets last came from or were sent to: ADDRESS:PORT; "": none yet
	Handshake time.Time `json:",omitzero"`  // of the last one, by the server's clock; zero: none yet
	Received  int64     // bytes since the device or the peer was made
	Sent      int64
}

// RemainsMax is how many of the objects that remain on a server are named.
const RemainsMax = 50

// Report is what apply did.
type Report struct {
	Steps   []Step   `json:",omitempty"` // done, in order
	Left    int      // objects of ours left on the server, files and units included
	Remains []string `json:",omitempty"` // the first of them by name, RemainsMax at most
	// Looked says that the kernel and the disk were read again afterwards, and that Left
	// counts what was found. Without it, Left = 0 proves nothing.
	Looked  bool     `json:",omitempty"`
	Pending []Step   `json:",omitempty"` // steps that were still needed after the last attempt
	Undone  bool     `json:",omitempty"` // the server undid the change
	Error   *Problem `json:",omitempty"`

	Confirmed bool `json:",omitempty"` // apply with Settle: it is confirmed already
}

// CanCutOff says whether steps may prevent new connections to a server. Changes to
// entries of our own tunnels cannot, and they are the most frequent: for the other
// members, a new member means nothing else. Nor can interfaces in containers. A fresh connection as a proof is then not
// needed; it would also count against the workstation, since sshd penalizes connections
// without a login (OpenSSH 9.8, PerSourcePenalties).
func CanCutOff(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool {
		kind, _, _ := strings.Cut(s.Object, " ")
		return !slices.Contains([]string{"fdb", "neigh", "peer", "dhcp", "attach", "dockernet"}, kind)
	})
}
