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

// Echoed is what came of an Echo.
type Echoed struct {
	Echo        Echo
	Sent, Heard int
	// Min and Median are of the round trips; 0 without any.
	Min, Median time.Duration `json:",omitempty"`
	// Passes is the largest IP packet that got through in one piece, in bytes, at most
	// MTU; 0 if that was not tried.
	Passes int `json:",omitempty"`
}
