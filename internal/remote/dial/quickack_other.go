//go:build !linux

package dial

import "net"

// Quick returns conn: only Linux has TCP_QUICKACK.
func Quick(conn net.Conn) net.Conn { return conn }
