// Package unit runs what outlives a session on a server: systemd units, daemons of the
// agent's own program, pid files. It owns the names of a cluster's units, how a file is
// written and read by the daemon that holds it, how a daemon is started, found and ended,
// and the words with which one fails.
//
// It does not know which daemons there are, what they do, or a spec.
package unit
