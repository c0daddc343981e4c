package spec

import "net/netip"

// UnderlayRequest finds out what passes between servers below all networks. The first of a
// session opens sockets, by Run and Ports; one with Send sends; one with neither asks what came
// in so far.
type UnderlayRequest struct {
	Run    uint32       // of this probing: packets of another one do not count
	Ports  []int        `json:",omitempty"` // of UDP, to listen at until the session ends
	Own    netip.Addr   `json:",omitzero"`  // own address that packets leave from
	Group  netip.Addr   `json:",omitzero"`  // IPv4 multicast group to join on the device of Own
	Toward []netip.Addr `json:",omitempty"` // to whom routes are wanted

	Send []UnderlayPacket `json:",omitempty"`
}

// UnderlayPacket is a packet of UDP, IP in IP (RFC 2003) or GRE (RFC 2784) to another server, or
// to a multicast group.
type UnderlayPacket struct {
	Number   uint32 // by which the receiver tells it from others
	To       netip.Addr
	Protocol int // 17, 4 or 47
	Port     int `json:",omitempty"` // of UDP
}

// UnderlayReply answers an UnderlayRequest.
type UnderlayReply struct {
	Clock   int64             `json:",omitempty"` // this server's, in nanoseconds since 1970
	Taken   map[string]string `json:",omitempty"` // by port, in decimal: who has it already
	Routes  []UnderlayRoute   `json:",omitempty"` // in the order of Toward
	Refused []uint32          `json:",omitempty"` // numbers that this server's own rules did not let out
	Came    []UnderlayArrival `json:",omitempty"`
}

// UnderlayRoute is how a server's packets leave towards another one.
type UnderlayRoute struct {
	Source netip.Addr `json:",omitzero"`  // own address; invalid: there is no route
	Device string     `json:",omitempty"` // that has this address
	Kind   string     `json:",omitempty"` // of the device, as ip -d link names it
}

// UnderlayArrival is a packet that came to a server.
type UnderlayArrival struct {
	Number    uint32
	Source    netip.Addr
	TTL       int  // what is left of UnderlayTTL
	Delivered bool `json:",omitempty"` // past the server's own packet filter
}

// UnderlayTTL is the TTL, or hop limit, that packets of a probing begin with.
const UnderlayTTL = 64
