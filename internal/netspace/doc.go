// Package netspace owns network namespaces for tests of the kernel: each has a thread, and
// what a test does there, pings and captures.
//
// It refuses to be a machine: processes, files and users are those of the test. A lab has
// machines.
package netspace
