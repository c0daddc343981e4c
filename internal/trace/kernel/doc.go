// Package kernel makes and reads messages of netlink as another machine's kernel has them, and says
// what the packet filters in them do with a packet. It asks no kernel itself.
package kernel
