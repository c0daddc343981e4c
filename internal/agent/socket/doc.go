// Package socket finds out which ports of this server are free, and which process has one
// that is not.
//
// It opens nothing that stays open, and does not know who needs a port, or what to do about
// who has it.
package socket
