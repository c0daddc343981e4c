// Package probe asks on a link who is there: the members of a network, by ARP, echo
// or a WireGuard handshake, and the containers of a segment whose leases were lost.
//
// It owns the sockets it asks with, for as long as it asks. It refuses to change anything
// and to conclude anything from an answer: that is for whoever asked.
package probe
