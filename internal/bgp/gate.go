//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/flocknet/flock/internal/spec"
)

// gate keeps GoBGP, after a restart, from telling routes before it has heard them.
//
// RFC 4724 has a restarting speaker wait for all neighbours' End-of-RIB. GoBGP
// forgets those whose session is not up yet: it ends the restart with the first
// End-of-RIB, and neighbours that come back after that are not told that there was
// a restart and that packets were forwarded all the while; FRR and BIRD then drop
// our routes before they hear them. The gate is one neighbour more, on the loopback
// interface, whose End-of-RIB comes when we say so.
type gate struct {
	speaker *speaker
	conn    net.Conn
	once    sync.Once
	opened  chan struct{}
}

// gateAddr is the address of the neighbour that the gate is, and its router id.
var gateAddr = netip.MustParseAddr("127.0.0.179")

const (
	// deferralMost is how long neighbours are waited for. They come back within ten
	// seconds: GoBGP rests for five after a session, and connects within two.
	deferralMost = 20 * time.Second
	gateWithin   = 5 * time.Second
)

// deferral is the Selection_Deferral_Timer (RFC 4724, 4.1): well below the time for
// which neighbours keep our routes.
func deferral(s *spec.BGP) time.Duration {
	return min(deferralMost, time.Duration(restartTime(s))*time.Second/2)
}

// openGate comes before the first neighbour, whose End-of-RIB would end the restart.
func openGate(ctx context.Context, sp *speaker, s *spec.BGP) (*gate, error) {
	n := spec.BGPNeighbor{Addr: gateAddr, AS: s.AS}
	p := peerOf(s, n, "", true)
	p.AfiSafis = nil
	for _, f := range []*api.Family{ipv4, ipv6} {
		p.AfiSafis = append(p.AfiSafis, afiSafi(f, 0))
	}
	if err := sp.gobgp.AddPeer(ctx, &api.AddPeerRequest{Peer: p}); err != nil {
		return nil, fmt.Errorf("restart gracefully: %w", err)
	}
	g := &gate{speaker: sp, opened: make(chan struct{})}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(gateWithin)
	defer patience.Stop()
	for {
		err := g.connect(ctx, s)
		if err == nil {
			go g.keep()
			return g, nil
		}
		select { // GoBGP takes no connection in its first moments
		case <-tick.C:
		case <-patience.C:
			return nil, fmt.Errorf("restart gracefully: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// connect brings the session up.
func (g *gate) connect(ctx context.Context, s *spec.BGP) error {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(gateAddr, 0))}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(spec.BGPPort)))
	if err != nil {
		return err
	}
	v4 := bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)
	v6 := bgp.NewCapGracefulRestartTuple(bgp.RF_IPv6_UC, true)
	caps := bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{
		bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC), bgp.NewCapFourOctetASNumber(s.AS),
		bgp.NewCapGracefulRestart(false, false, 1, []*bgp.CapGracefulRestartTuple{v4, v6}),
	})
	as := uint16(bgp.AS_TRANS)
	if s.AS <= 0xffff {
		as = uint16(s.AS)
	}
	open := bgp.NewBGPOpenMessage(as, uint16(s.Hold), gateAddr.String(), []bgp.OptionParameterInterface{caps}) //nolint:gosec // 3…65535
	_ = c.SetDeadline(time.Now().Add(gateWithin))
	// GoBGP's OPEN and KEEPALIVE come between ours; its second KEEPALIVE says that
	// the session stands.
	err = errors.Join(write(c, open), read(c), write(c, bgp.NewBGPKeepAliveMessage()), read(c), g.await(ctx))
	_ = c.SetDeadline(time.Time{})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	g.conn = c
	return nil
}

// await waits until GoBGP counts the session as up.
func (g *gate) await(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	for {
		up := false
		err := g.speaker.gobgp.ListPeer(ctx, &api.ListPeerRequest{Address: gateAddr.String()}, func(p *api.Peer) {
			up = p.GetState().GetSessionState() == api.PeerState_ESTABLISHED
		})
		if err != nil || up {
			return err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return errors.New("no session with ourselves")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keep holds the session up until the gate opens.
func (g *gate) keep() {
	go func() { _, _ = io.Copy(io.Discard, g.conn) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-g.opened:
			return
		case <-tick.C:
			_ = write(g.conn, bgp.NewBGPKeepAliveMessage())
		}
	}
}

// open ends the restart: GoBGP tells all neighbours its routes and that these are
// all, and ours need not be kept any more.
func (g *gate) open() {
	if g == nil {
		return
	}
	g.once.Do(func() {
		close(g.opened)
		g.speaker.mu.Lock()
		g.speaker.restarting = false
		g.speaker.mu.Unlock()
		err := errors.Join(write(g.conn, bgp.NewEndOfRib(bgp.RF_IPv4_UC)), write(g.conn, bgp.NewEndOfRib(bgp.RF_IPv6_UC)))
		if err != nil {
			g.speaker.journal.print("end of the restart: %v", err)
		}
	})
}

func (g *gate) isOpen() bool {
	if g == nil {
		return true
	}
	select {
	case <-g.opened:
		return true
	default:
		return false
	}
}

func write(c net.Conn, m *bgp.BGPMessage) error {
	b, err := m.Serialize()
	if err == nil {
		_, err = c.Write(b)
	}
	return err
}

// read takes one message in.
func read(c net.Conn) error {
	head := make([]byte, bgp.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	h := &bgp.BGPHeader{}
	if err := h.DecodeFromBytes(head); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(h.Len)-bgp.BGP_HEADER_LENGTH)
	return err
}
