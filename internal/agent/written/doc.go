// Package written owns the text of the files that a spec comes to on a server, for dnsmasq,
// network daemons and readers of subnet.env, and where each of them lies.
//
// It refuses to look at a server: it writes, reads and starts nothing, and the same spec
// gives the same text.
package written
