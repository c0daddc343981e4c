package dial

import (
	"net"
	"sync"
)

// Heard returns conn, and calls once when the other side has said something, or the connection
// has ended.
func Heard(conn net.Conn, once func()) net.Conn {
	if _, proxied := conn.(*proxyConn); !proxied {
		once()
		return conn
	}
	return &heard{Conn: conn, once: sync.OnceFunc(once)}
}

type heard struct {
	net.Conn
	once func()
}

// Read reads what is there.
func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.once()
	return n, err
}

// Close ends the connection.
func (h *heard) Close() error {
	h.once()
	return h.Conn.Close()
}
