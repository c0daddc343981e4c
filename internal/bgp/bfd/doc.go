// Package bfd tells within a second that a neighbour is silent: bidirectional forwarding
// detection (RFC 5880) over one hop (RFC 5881), asynchronous mode, without authentication
// and echo.
//
// GoBGP has BFD too (v4.8.0). It takes AdminDown for a failure and cannot slow down, so
// every restart of a daemon would end its sessions; hence this one. Before a restart it
// tells neighbours, by a poll sequence, that it will send rarely for a while; the next
// daemon continues the same BFD sessions, and no neighbour notices.
package bfd
