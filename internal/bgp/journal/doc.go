// Package journal is what GoBGP says of the neighbours of a server. It owns what is made of
// GoBGP's log: why a session is down, in words for an operator, and the lines of the daemon's
// own log. What GoBGP reads and does not log it reads beforehand. It changes no session.
package journal
