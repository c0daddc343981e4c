//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"golang.org/x/sys/unix"
)

// loopback is the device that the speaker listens on until its neighbours are
// configured.
//
// GoBGP accepts and closes a connection from an address that it has no neighbour for,
// and one to a neighbour that is idle (v4.8.0, passConnToPeer and idle). A neighbour
// that keeps our routes through a restart drops them then. A connection that the kernel
// refuses, as while no daemon runs, makes it only try again.
const loopback = "lo"

// admitWithin bounds the wait until the neighbours have left GoBGP's first state.
const admitWithin = time.Second

// admit opens the listening sockets to the neighbours.
func (sp *speaker) admit(ctx context.Context) error {
	if err := sp.awake(ctx); err != nil {
		return err
	}
	all, err := descriptors()
	if err != nil {
		return err
	}
	freed := 0
	for _, fd := range all {
		if !listens(fd) {
			continue
		}
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, ""); err != nil {
			return fmt.Errorf("listen on all devices: %w", err)
		}
		freed++
	}
	if freed == 0 {
		return errors.New("listen on all devices: there is no listening socket")
	}
	return nil
}

// awake waits until no neighbour is idle: GoBGP takes no connection from an idle one.
func (sp *speaker) awake(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(admitWithin)
	defer patience.Stop()
	for {
		idle := false
		err := sp.gobgp.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
			idle = idle || p.GetState().GetSessionState() == api.PeerState_SESSION_STATE_IDLE
		})
		if err != nil {
			return fmt.Errorf("look at the neighbors: %w", err)
		}
		if !idle {
			return nil
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return nil // its own connection failed meanwhile
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
