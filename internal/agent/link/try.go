//go:build linux

package link

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/rtnl"
	"github.com/flocknet/flock/internal/spec"
)

// Try is the process of a trial: it makes a device of each of kinds, which commas
// separate, and writes those that the kernel does not have to out, one a line. Its
// network namespace is the trial's and goes with it.
func Try(kinds string, out io.Writer) error {
	rt, err := rtnl.Open()
	if err != nil {
		return err
	}
	k := &host.Host{RT: rt}
	for i, kind := range strings.Split(kinds, ",") {
		m, err := createMessage(k, spec.Link{Name: fmt.Sprintf("try%d", i), Kind: kind, Tunnel: triedTunnel(kind)})
		if err == nil {
			err = rt.Do(m)
		}
		if errors.Is(err, unix.EOPNOTSUPP) {
			_, err = fmt.Fprintln(out, kind)
		}
		if kind == spec.VLAN && !errors.Is(err, unix.EOPNOTSUPP) {
			err = nil // the trial has no device that it could be on
		}
		if err != nil {
			return errors.Join(fmt.Errorf("make a %s device: %w", kind, err), rt.Close())
		}
	}
	return rt.Close()
}

// triedTunnel has ends of its own (RFC 5737, RFC 3849): those without are the
// module's own device's.
func triedTunnel(kind string) *spec.Tunnel {
	local, remote := "192.0.2.1", "192.0.2.2"
	if kind == spec.IP6GRE {
		local, remote = "2001:db8::1", "2001:db8::2"
	}
	return &spec.Tunnel{VNI: 1, Port: 1, Local: netip.MustParseAddr(local), Remote: netip.MustParseAddr(remote)}
}
