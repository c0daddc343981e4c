package spec

import (
	"net/netip"
	"time"
)

// BGPStatus is what a server's BGP daemon says about itself (OpBGP).
type BGPStatus struct {
	Network  string
	AS       uint32
	RouterID netip.Addr
	Uptime   time.Duration // since the daemon started
	Restarts bool          `json:",omitempty"` // it adopted the routes of the daemon before it, and not all of them are confirmed yet

	Neighbors []BGPNeighborStatus `json:",omitempty"` // by address
	Routes    []BGPRoute          `json:",omitempty"` // by prefix, IPv4 first

	Exchanges []BGPExchange `json:",omitempty"` // answers BGPRoutes, in the order of the request
	Deaf      []netip.Addr  `json:",omitempty"` // answers BGPRefresh: neighbours that know no route refresh
}

// DefaultLocalPref is the preference of a route that nobody gave one (LOCAL_PREF, RFC 4271).
const DefaultLocalPref = 100

// BGPExchange is what one neighbour and this server tell each other.
type BGPExchange struct {
	Addr     netip.Addr
	Received []BGPTold `json:",omitempty"` // by prefix, IPv4 first
	Sent     []BGPTold `json:",omitempty"` // as it is sent, after the filters; by prefix, IPv4 first
	// Later says that nothing is sent yet: after a restart this server waits until all
	// neighbours have told theirs.
	Later bool `json:",omitempty"`
}

// BGPTold is one route that one of the two told the other.
type BGPTold struct {
	Prefix      netip.Prefix
	NextHop     netip.Addr
	ASPath      string        `json:",omitempty"` // as BGPPath's
	MED         *uint32       `json:",omitempty"` // nil: none
	LocalPref   *uint32       `json:",omitempty"` // nil: none; of a received route that is accepted, the one that the filters gave it
	Communities []string      `json:",omitempty"` // RFC 1997, "65000:1"
	Age         time.Duration `json:",omitempty"` // of received ones, since it was learned
	Stale       bool          `json:",omitempty"` // as BGPPath's
	// Refused is the reason why a received route is not accepted; "" if it is.
	Refused string `json:",omitempty"`
	Used    bool   `json:",omitempty"` // an accepted one: the kernel has a route by it
	// Why is the reason why an accepted one is not used: another path goes before it, or
	// the kernel cannot have it; or why the kernel does not use what it has.
	Why string `json:",omitempty"`
}

// States of a BGP session (RFC 4271, 8.2.2), as BGPNeighborStatus has them.
const (
	BGPIdle        = "Idle"
	BGPConnect     = "Connect"
	BGPActive      = "Active"
	BGPOpenSent    = "OpenSent"
	BGPOpenConfirm = "OpenConfirm"
	BGPEstablished = "Established"
)

// BGPHeard is how long a session must be up before its neighbour counts as having
// announced everything.
const BGPHeard = 3 * time.Second

// BFDBegun is how long a session must be up before BFD that is not up is worth a word: it
// begins five seconds after BGP.
const BFDBegun = 10 * time.Second

// BGPNeighborStatus is one session.
type BGPNeighborStatus struct {
	Addr     netip.Addr
	Name     string `json:",omitempty"` // server name; "" for others
	AS       uint32
	External bool          `json:",omitempty"`
	State    string        // BGPIdle … BGPEstablished
	Uptime   time.Duration `json:",omitempty"` // of an established session; otherwise how long it has been down, 0: it never was up

	Received int `json:",omitempty"` // prefixes it announces, except for those that it learned from us
	Accepted int `json:",omitempty"` // those of them that the filters permit
	Sent     int `json:",omitempty"` // prefixes announced to it

	// Unmatched are the lines of Import that match nothing of what it announces, while
	// the session is up and has been for some seconds.
	Unmatched []PrefixRule `json:",omitempty"`

	// BFD is how the neighbour is watched; nil: it is not.
	BFD *BFDStatus `json:",omitempty"`
	// Refused says that one side refuses the other: another AS, more prefixes than
	// allowed. Waiting does not help.
	Refused bool `json:",omitempty"`
	// Why is the reason, in words, why the session is down, or why the last one ended,
	// and where to look; "" if there is nothing to report.
	Why string `json:",omitempty"`
}

// BFDStatus is one BFD session.
type BFDStatus struct {
	Up     bool
	Every  int    // milliseconds between packets of this server
	Within int    `json:",omitempty"` // milliseconds of silence that are noticed; 0: not negotiated yet
	Why    string `json:",omitempty"` // why it is not up
}

// BGPRoute is one destination that the daemon knows.
type BGPRoute struct {
	Prefix netip.Prefix
	Local  bool `json:",omitempty"` // this server announces it
	Kernel bool // the kernel has it, with the next hops of the paths that are Used
	// Why is the reason why the kernel does not have it, for example that no next hop
	// answers.
	Why string `json:",omitempty"`
	// Held says that the daemon keeps the route out of the kernel, because traffic to
	// the workstation, another server or the default gateway would follow it; Why says
	// which.
	Held bool `json:",omitempty"`
	// Unused is the reason why the kernel, which has the route, does not use it: another
	// route to the same destination goes before it.
	Unused string    `json:",omitempty"`
	Paths  []BGPPath `json:",omitempty"` // the best first
}

// BGPPath is one path to a destination.
type BGPPath struct {
	NextHop netip.Addr    // invalid for a route that this server announces
	From    netip.Addr    // the neighbour it was learned from; invalid: ourselves
	Name    string        `json:",omitempty"` // its server name
	ASPath  string        `json:",omitempty"` // as the field writes it: "65001 65002 {65003,65004}"; "": none, of our own AS
	Age     time.Duration // since it was learned
	// LocalPref is how much it is preferred to others, if that is not DefaultLocalPref;
	// nil: it is.
	LocalPref *uint32 `json:",omitempty"`
	Used      bool    `json:",omitempty"` // the best, or as good as the best (ECMP)
	Stale     bool    `json:",omitempty"` // its neighbour restarts (RFC 4724)
}
