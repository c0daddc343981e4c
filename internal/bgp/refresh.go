//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/spec"
)

// refresh has the neighbours with these addresses tell all their routes again, passes
// what they told before through the filters, and tells them ours. Sessions and routes
// stay. deaf are those that know no such request.
func (sp *speaker) refresh(ctx context.Context, peers []netip.Addr) (deaf []netip.Addr, err error) {
	list, err := sp.established(peers)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		r := &api.ResetPeerRequest{Address: n.Addr.String(), Soft: true, Direction: api.ResetPeerRequest_DIRECTION_BOTH}
		if err := sp.gobgp.ResetPeer(ctx, r); err != nil {
			return nil, fmt.Errorf("filter the routes of %s anew: %w", n.Addr, err)
		}
		knows, err := sp.requestRefresh(ctx, n)
		if err != nil {
			return nil, err
		}
		if !knows {
			deaf = append(deaf, n.Addr)
		}
	}
	return deaf, nil
}

// reset ends the sessions with the neighbours with these addresses (RFC 4486,
// Administrative Reset). GoBGP begins new ones.
func (sp *speaker) reset(ctx context.Context, peers []netip.Addr) error {
	list, err := sp.established(peers)
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := sp.gobgp.ResetPeer(ctx, &api.ResetPeerRequest{Address: n.Addr.String()}); err != nil {
			return fmt.Errorf("end the session with %s: %w", n.Addr, err)
		}
	}
	return nil
}

// established are the neighbours with these addresses, if their sessions are.
func (sp *speaker) established(peers []netip.Addr) ([]spec.BGPNeighbor, error) {
	list, err := sp.among(peers)
	for _, n := range list {
		if !sp.isUp(n.Addr) {
			return nil, fmt.Errorf("the session with %s is not established", n.Addr)
		}
	}
	return list, err
}

// requestRefresh sends n a ROUTE-REFRESH (RFC 2918) per address family, if it knows that
// message. GoBGP answers those of others and sends none itself (v4.8.0).
func (sp *speaker) requestRefresh(ctx context.Context, n spec.BGPNeighbor) (knows bool, err error) {
	err = sp.gobgp.ListPeer(ctx, &api.ListPeerRequest{Address: n.Addr.String()}, func(p *api.Peer) {
		for _, c := range p.GetState().GetRemoteCap() {
			knows = knows || c.GetRouteRefresh() != nil
		}
	})
	if err != nil {
		return false, fmt.Errorf("look at neighbor %s: %w", n.Addr, err)
	}
	if !knows {
		return false, nil
	}
	sp.mu.Lock()
	s := sp.running
	sp.mu.Unlock()
	var all []byte
	for _, f := range families(s, n) {
		b, err := bgp.NewBGPRouteRefreshMessage(f.Afi(), 0, f.Safi()).Serialize()
		if err != nil {
			return false, fmt.Errorf("request the routes of %s: %w", n.Addr, err)
		}
		all = append(all, b...)
	}
	return true, inject(n.Addr, all)
}

// inject sends whole messages to a neighbour, between GoBGP's own. The kernel takes each
// message with one write, undivided while there is room; where much waits to be sent, one
// of GoBGP's may be half written, and nothing is sent.
func inject(to netip.Addr, messages []byte) error {
	list, err := connections(to)
	if err != nil {
		return err
	}
	for _, fd := range list {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.State != unix.BPF_TCP_ESTABLISHED {
			continue
		}
		if waits, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil || waits > bgp.BGP_MAX_MESSAGE_LENGTH {
			return fmt.Errorf("request the routes of %s: %d bytes wait to be sent to it; try again", to, waits)
		}
		if n, err := unix.SendmsgN(fd, messages, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil || n != len(messages) {
			return fmt.Errorf("request the routes of %s: %d of %d bytes are sent: %w", to, n, len(messages), err)
		}
		return nil
	}
	return fmt.Errorf("request the routes of %s: there is no connection with it", to)
}
