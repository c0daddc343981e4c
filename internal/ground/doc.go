// Package ground owns what all kinds of network stand on: who is a member and where its
// packets leave a server, which subnets are in use and which are free, MAC addresses, and the
// Builder that gathers what networks ask of every server.
//
// It does not know what a network means: no kind is asked here. Everything is pure.
package ground
