// Package iptunnel owns what a tunnel of two ends means: what its ends and subnets may
// be, which addresses they get, and the device, addresses and routes of an end. Pure.
package iptunnel

// Types of tunnels. A tunnel is a network of two members, its ends, each with an
// address of one small subnet; what they share is routed through it.
const (
	GRE  = "gre"  // over IPv4 or IPv6, carries both
	IPIP = "ipip" // IPv4 in IPv4; also a kind of pool network
)

// Sort is what tunnels of a type can do.
type Sort struct {
	GRE bool // they have a key, and carry both families over both
}
