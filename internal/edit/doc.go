// Package edit owns what commands do to the cluster file: servers, networks, members, roles,
// shares, tunnels and BGP written down and taken out, a whole file put in another's place, and
// what of a damaged one can still be shown.
//
// An edit changes a cluster in memory, and refuses what it cannot mean. It completes and
// compiles nothing: Do does, once for all of them. What a network means is network's, when an
// edit is made, and with whom, is change's; no edit reads or writes a file.
package edit
