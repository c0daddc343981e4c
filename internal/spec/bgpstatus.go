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
	Restarts bool          `json:",omitempty"` // it takes up the routes of the one before: not all of them are confirmed yet

	Neighbors []BGPNeighborStatus `json:",omitempty"` // by address
	Routes    []BGPRoute          `json:",omitempty"` // by prefix, IPv4 first
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

// BGPTold is how long a session is up until its neighbour is taken to have told what
// it has.
const BGPTold = 3 * time.Second

// BGPNeighborStatus is one session.
type BGPNeighborStatus struct {
	Addr     netip.Addr
	Name     string `json:",omitempty"` // server name; "" for others
	AS       uint32
	External bool          `json:",omitempty"`
	State    string        // BGPIdle … BGPEstablished
	Uptime   time.Duration `json:",omitempty"` // of an established session; otherwise how long it has been down, 0: it never was up

	Received int `json:",omitempty"` // prefixes it announces, but for those that it heard of us
	Accepted int `json:",omitempty"` // those of them that the filters let in
	Sent     int `json:",omitempty"` // prefixes announced to it

	// Unmatched are the lines of Import that match nothing of what it announces, while
	// the session is up and has been for some seconds.
	Unmatched []PrefixRule `json:",omitempty"`

	// Refused says that one of the two refuses what the other is: another AS, more
	// prefixes than allowed. Waiting does not help.
	Refused bool `json:",omitempty"`
	// Why says in words why the session is down, or why the last one ended: what
	// was heard of the neighbour, and where to look. "" when there is nothing to say.
	Why string `json:",omitempty"`
}

// BGPRoute is one destination that the daemon knows.
type BGPRoute struct {
	Prefix netip.Prefix
	Local  bool `json:",omitempty"` // this server announces it
	Kernel bool // the kernel has it, by the next hops of the paths that are Used
	// Why says why the kernel has it not, for example that no next hop can be
	// reached.
	Why string `json:",omitempty"`
	// Held says that the daemon keeps the route from the kernel, which would take the way
	// to the workstation, another server or the default gateway by it; Why says which.
	Held bool `json:",omitempty"`
	// Unused says why the kernel, which has it, sends nothing by it: another route to
	// the same destination goes before it.
	Unused string    `json:",omitempty"`
	Paths  []BGPPath `json:",omitempty"` // the best first
}

// BGPPath is one way to a destination.
type BGPPath struct {
	NextHop netip.Addr    // invalid for a route that this server announces
	From    netip.Addr    // the neighbour it was learned from; invalid: ourselves
	Name    string        `json:",omitempty"` // its server name
	ASPath  string        `json:",omitempty"` // as the field writes it: "65001 65002 {65003,65004}"; "": none, of our own AS
	Age     time.Duration // since it was learned
	Used    bool          `json:",omitempty"` // the best, or as good as the best (ECMP)
	Stale   bool          `json:",omitempty"` // its neighbour restarts (RFC 4724)
}
