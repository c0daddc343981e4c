//go:build linux

package agent

// procNet shows the tables of this process's network namespace. Tests, whose
// threads have namespaces of their own, look below /proc/thread-self (unit.OwnNetwork).
var procNet = "/proc/self/net"
