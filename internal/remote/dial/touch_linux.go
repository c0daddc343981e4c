package dial

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanTouch is true: Touch works here.
const CanTouch = true

// Touch begins a TCP connection and resets it as soon as it is answered. The third
// packet of the handshake is never sent, so that sshd does not notice: it would start a
// process (7 ms, a third of a login), write to its log and, since OpenSSH 9.8, penalize
// our address (PerSourcePenalties, noauth).
func Touch(ctx context.Context, network, addr string) error {
	d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				// Puts off the third packet by 200 ms (linux 6.18, tcp_rcv_synsent_state_process).
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1),
				// To close it is to reset it.
				unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
			)
		})
		return errors.Join(err, failed)
	}}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
