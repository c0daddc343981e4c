package dial

import (
	"bufio"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Quick returns conn with TCP_QUICKACK set before each read: the kernel clears it by
// itself. sshd leaves Nagle's algorithm on until a session starts, so that its small
// packets after the login wait for our delayed ACK, 40 ms (tcp(7); 95 ms per login
// without, 51 ms with it, linux 6.18, OpenSSH 9.2). Calm ends that once a session has
// started: packets that only acknowledge cost both sides time.
func Quick(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &quickConn{TCPConn: tcp, raw: raw}
	c.ahead = bufio.NewReaderSize(readFunc(c.read), readAhead)
	return c
}

type quickConn struct {
	*net.TCPConn
	raw   syscall.RawConn
	off   atomic.Bool
	ahead *bufio.Reader
}

// readAhead buffers the server's identification, which x/crypto reads byte by byte.
const readAhead = 256

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// Calm lets the kernel decide again when to acknowledge.
func (c *quickConn) Calm() { c.off.Store(true) }

// Read reads what is there; large reads bypass the buffer.
func (c *quickConn) Read(b []byte) (int, error) { return c.ahead.Read(b) }

func (c *quickConn) read(b []byte) (int, error) {
	if c.off.Load() {
		return c.TCPConn.Read(b)
	}
	err := c.raw.Control(func(fd uintptr) {
		// Without it reading is slower, not wrong.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
	if err != nil {
		return 0, err
	}
	return c.TCPConn.Read(b)
}
