// Package dial owns the ways to a server's port below SSH: TCP connections that answer at once,
// those that are only begun, and proxy commands.
//
// It knows nothing of SSH, and decides on no way.
package dial
