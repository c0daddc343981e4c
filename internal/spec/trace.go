package spec

import "net/netip"

// TraceRequest asks a server for what the kernel says about the way of a packet, in the
// kernel's own words, has it send one, and asks which packets passed. Bytes are in base64.
// All parts may be left out.
type TraceRequest struct {
	Inside string `json:",omitempty"` // KIND/NAME of the container in which is asked and sent; "": on the server
	// Questions are netlink messages (netlink(7)) in the server's byte order that only
	// ask: of NETLINK_ROUTE, or about nftables.
	Questions []string `json:",omitempty"`
	Links     []Link   `json:",omitempty"` // WireGuard devices whose peers are wanted

	// Filter begins to hear on all devices, until the session ends, what this program lets
	// pass (struct sock_filter of linux/filter.h, in the server's byte order).
	Filter string `json:",omitempty"`

	// Data is what follows the IP header of a packet that is sent.
	Data     string     `json:",omitempty"`
	From, To netip.Addr `json:",omitzero"`
	Protocol int        `json:",omitempty"` // of IP
	// Wait is how many milliseconds are waited before it is told what was heard; 0: that
	// is not wanted.
	Wait  int      `json:",omitempty"`
	Marks []string `json:",omitempty"` // only packets that contain one of these are told
	Last  string   `json:",omitempty"` // the one of Marks that ends the wait
}

// TraceReply answers a TraceRequest.
type TraceReply struct {
	// Answers are the kernel's: of each question the messages without their headers, in
	// base64, separated by blanks; or ! and the number of the error.
	Answers  []string  `json:",omitempty"`
	Links    []Link    `json:",omitempty"` // with key and port; no key where its process does not answer
	Peers    []Peer    `json:",omitempty"`
	Sessions []Session `json:",omitempty"`
	Refused  string    `json:",omitempty"` // why the packet could not be sent, as the kernel says
	Stopped  bool      `json:",omitempty"` // Inside does not run, nothing was asked
	Clock    int64     // of the server, in seconds since 1970
	// Seen are packets that passed a device, in the order of time, since the last that were
	// answered: the index of the device, < for one that came by it or > for one that left,
	// and its beginning from the IP header or ARP on, in base64.
	Seen []string `json:",omitempty"`
}
