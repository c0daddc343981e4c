// Package names decides what the containers of a network are called, and what is answered to
// who asks for a name. It owns leases as dnsmasq writes them, the claims to names by which
// servers agree, and DNS messages, as far as one question to several servers needs them.
//
// It is pure: it has no file, no socket and no clock, and does not know what dnsmasq is told.
// Whoever runs the process that answers reads, sends and waits.
package names
