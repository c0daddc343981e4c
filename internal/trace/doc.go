// Package trace follows a packet from server to server by what their kernels say (pure): which
// objects it meets, which of them stops it, and whether a packet that was really sent agrees. It
// owns which questions are put to a server, how the kernel's messages are read, and the verdict.
// It refuses to ask: whoever calls it brings the answers, until nothing is lacking.
package trace
