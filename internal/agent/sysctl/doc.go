// Package sysctl reads and writes the kernel's settings. It owns their paths below /proc/sys,
// what the files of sysctl.d(5) set at boot, and whether somebody else on the server wants
// packets forwarded.
//
// It does not know which settings a server should have, nor what they were before: whoever
// changes one remembers that. What others have is told to it, but for their daemons.
package sysctl
