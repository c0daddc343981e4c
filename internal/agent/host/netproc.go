//go:build linux

package host

// ProcNet shows the tables of this process's network namespace. Tests, whose
// threads have namespaces of their own, look below /proc/thread-self (unit.OwnNetwork).
var ProcNet = "/proc/self/net"
