// Package peering owns BGP between servers, and with routers outside: who has a session with
// whom, what is announced and accepted, and what a speaker's spec says of it.
//
// It does not know how a network is completed, nor any other kind. The daemon is bgp's.
package peering
