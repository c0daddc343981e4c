//go:build !linux

package remote

import "net"

// quick returns conn: only Linux has TCP_QUICKACK.
func quick(conn net.Conn) net.Conn { return conn }
