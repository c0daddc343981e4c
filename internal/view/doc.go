// Package view owns how things look that commands show: servers, networks, plans,
// outcomes, sessions and routes of BGP, as tables, lines and JSON documents.
//
// It takes values and prints them. It knows no command, asks nothing, reads no file, talks to
// no server, and decides no exit status: that is for the command line.
package view
