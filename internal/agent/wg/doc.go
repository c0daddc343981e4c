// Package wg sets WireGuard devices up and looks after them. It owns their key files, how a
// device is read and changed (in the kernel and in userspace), the first handshake of two
// devices, endpoints that are names, and the process behind a device in userspace.
//
// It does not know the server's other devices, addresses and routes, and makes no device:
// whoever looks at the kernel does.
package wg
