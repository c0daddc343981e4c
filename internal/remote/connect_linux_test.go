package remote

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hushed is a TCP address that answers no packet, as that of a server that is off: its
// queue is full.
func hushed(t *testing.T) (host string, port uint16) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port = uint16(at.(*unix.SockaddrInet4).Port)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)) // listen(2): a queue of 0 has one place
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return "127.0.0.1", port
}

// Connect bounds the wait for the first packet alone; a server that has answered is
// given all of Timeout.
func TestConnectBoundsTheFirstPacket(t *testing.T) {
	l := newLaptop(t)
	l.Connect, l.Timeout = 100*time.Millisecond, time.Minute
	host, port := hushed(t)
	refused(t, l, Target{Name: "s1", User: "root", Host: host, Port: port}, ErrUnreachable, "no answer within 100ms")

	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections in and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l.Connect, l.Timeout = time.Minute, 100*time.Millisecond
	port = uint16(silent.Addr().(*net.TCPAddr).Port)
	refused(t, l, Target{Name: "s1", User: "root", Host: host, Port: port}, ErrUnreachable, "no answer within 100ms")
}
