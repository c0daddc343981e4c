package spec

import (
	"net/netip"
	"time"
)

// Echo asks for ICMP echoes (RFC 792, RFC 4443) from an address of this server to another
// member's, and how large a packet may be on that way.
type Echo struct {
	From, To netip.Addr
	MTU      int // bytes of an IP packet that is to pass in one piece; 0: that is not tried
}

// EchoMost is how many requests may be sent on one way: a second of them.
const EchoMost = 100

// Echoed is what came of an Echo.
type Echoed struct {
	Echo        Echo
	Sent, Heard int
	// Min and Median are of the round trips, and what 90 and 99 of a hundred do not exceed; 0
	// without any.
	Min, Median, P90, P99 time.Duration `json:",omitempty"`
	// Passes is the largest IP packet that got through in one piece, in bytes, at most
	// MTU; 0 if that was not tried.
	Passes int `json:",omitempty"`
}

// BulkRequest opens ports for the data of other members, or sends data to theirs. One without
// either asks what was received so far.
type BulkRequest struct {
	At    []netip.Addr `json:",omitempty"` // own addresses to listen at, until the session ends
	Admit []netip.Addr `json:",omitempty"` // who may connect there
	Flows []Bulk       `json:",omitempty"` // all at once
}

// Bulk asks for BulkTime of TCP data from an address of this server to another member's port,
// and as much back.
type Bulk struct {
	From, To netip.Addr
	Port     int
}

// BulkTime is how long data is sent in each direction of a Bulk.
const BulkTime = 500 * time.Millisecond

// BulkReply answers a BulkRequest.
type BulkReply struct {
	Ports []int    `json:",omitempty"` // in the order of At; 0: nobody can listen there
	Flows []Flowed `json:",omitempty"` // in the order of Flows
	// BadSums is how many TCP segments this server has dropped for a wrong checksum since it
	// runs (InCsumErrors).
	BadSums uint64 `json:",omitempty"`
}

// Flowed is what came of a Bulk.
type Flowed struct {
	Bulk      Bulk
	Open      bool          // the other end took the connection
	Whole     bool          // all that was sent arrived, both ways
	Out, Back int64         // bytes that arrived there, and here
	Took      time.Duration `json:",omitempty"` // from the first byte to the last
}
