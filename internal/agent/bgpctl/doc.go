// Package bgpctl keeps a server's BGP daemon: it writes what the daemon is to do into
// files, has it take them up, starts and ends it, and asks it what it does.
//
// It owns the daemon's files, passwords among them, and its unit. It refuses to speak BGP:
// that is package bgp's, in the daemon's process.
package bgpctl
