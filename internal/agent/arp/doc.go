// Package arp asks the layer 2 segment behind a device of this server who is there, and
// tells it which addresses are here now: ARP (RFC 826) and neighbour discovery (RFC 4861).
//
// It changes nothing on the server, and does not know what the addresses are for.
package arp
