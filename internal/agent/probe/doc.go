// Package probe asks on a link which members of a network are there, by ARP, echo or a
// WireGuard handshake.
//
// It owns the sockets it asks with, for as long as it asks. It refuses to change anything
// and to conclude anything from an answer: that is for whoever asked.
package probe
