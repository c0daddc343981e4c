//go:build linux

package probe

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/wg"
	"github.com/flocknet/flock/internal/spec"
)

// plug makes a port of a bridge whose other end is this process, as a virtual machine's is: a
// TAP device, which is gone when its descriptor is closed, however this process ends. It returns
// the port's name, which the kernel chooses.
func (c *Capture) plug(bridge string) (string, error) {
	port, _ := unix.NewIfreq(spec.PortPrefix + "%d")
	to, err := unix.NewIfreq(bridge)
	if err == nil {
		c.port, err = unix.Open(wg.TUNPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	port.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	for i, request := range [...]uint{unix.TUNSETIFF, unix.SIOCGIFINDEX, unix.SIOCBRADDIF, unix.SIOCSIFFLAGS} {
		at, with := fd, port
		switch i {
		case 0:
			at = c.port
		case 2:
			to.SetUint32(port.Uint32())
			with = to
		case 3:
			port.SetUint16(unix.IFF_UP)
		}
		if err == nil {
			err = unix.IoctlIfreq(at, request, with)
		}
	}
	if err != nil {
		err = fmt.Errorf("make a port of %s: %w", bridge, err)
	}
	return port.Name(), err
}

// Send sends frames into the bridge by the port that was made of it. What it does not take is
// lost.
func (c *Capture) Send(frames []string) {
	for _, f := range frames {
		_, _ = unix.Write(c.port, decoded(f))
	}
}
