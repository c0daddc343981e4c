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
	"sync/atomic"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/flocknet/flock/internal/bgp/journal"
	"github.com/flocknet/flock/internal/spec"
)

// target is a speaker of ours within the test, on the loopback device: who may attack
// it is added for one session each, and two witnesses hold theirs all the while. One
// of these knows AS numbers of two octets only, so what it is told is written anew.
type target struct {
	speaker   *speaker
	port      int
	attackers atomic.Uint32
	witnesses []*witness
}

// witness is a neighbour that behaves.
type witness struct {
	updates atomic.Int32
	ended   chan struct{}
}

// victim is there once per process: a fuzzer's calls share it.
var victim = sync.OnceValues(openTarget)

func openTarget() (*target, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &target{port: l.Addr().(*net.TCPAddr).Port}
	if err := l.Close(); err != nil {
		return nil, err
	}
	j := journal.New(io.Discard, unread)
	go func() {
		for range j.Silent { //nolint:revive // nobody asks
		}
	}()
	s := &spec.BGP{Network: "bnet", AS: 64512, RouterID: addr("127.0.0.1"), Hold: 3600, Own: prefixes("10.0.10.0/24"), Prefixes: prefixes("10.0.10.0/24")}
	t.speaker = &speaker{gobgp: server.NewBgpServer(server.LoggerOption(j.Logger(), nil)), journal: j, running: s, up: map[netip.Addr]bool{}}
	go t.speaker.gobgp.Serve()
	ctx := context.Background()
	global := &api.Global{Asn: s.AS, RouterId: s.RouterID.String(), ListenPort: int32(t.port), ListenAddresses: []string{"127.0.0.1"}, UseMultiplePaths: true} //nolint:gosec // a port
	if err := t.speaker.gobgp.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return nil, err
	}
	if err := t.speaker.filters(ctx); err != nil {
		return nil, err
	}
	changes, moves := make(chan []told), make(chan move)
	go func() {
		for {
			select {
			case <-changes:
			case <-moves:
			}
		}
	}()
	if err := t.speaker.watch(ctx, changes, moves); err != nil {
		return nil, err
	}
	if err := t.speaker.announce(nil, s.Prefixes); err != nil {
		return nil, err
	}
	for i, four := range []bool{true, false} {
		if err := t.witness(netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)}), four); err != nil {
			return nil, fmt.Errorf("witness %d: %w", i, err)
		}
	}
	return t, nil
}

// admits makes addr a neighbour that may connect.
func (t *target) admits(a netip.Addr, as uint32) error {
	n := spec.BGPNeighbor{Addr: a, AS: as, External: as != t.speaker.running.AS, MaxPrefixes: 1000}
	p := peerOf(t.speaker.running, n, "", false)
	p.Transport.PassiveMode = true
	p.AfiSafis = []*api.AfiSafi{afiSafi(bgp.RF_IPv4_UC, 1000), afiSafi(bgp.RF_IPv6_UC, 1000)}
	ctx := context.Background()
	if err := t.speaker.gobgp.AddPeer(ctx, &api.AddPeerRequest{Peer: p}); err != nil {
		return err
	}
	return poll(5*time.Second, func() error {
		state := api.PeerState_SESSION_STATE_IDLE
		err := t.speaker.gobgp.ListPeer(ctx, &api.ListPeerRequest{Address: a.String()}, func(p *api.Peer) { state = p.GetState().GetSessionState() })
		if err == nil && state != api.PeerState_SESSION_STATE_ACTIVE {
			err = fmt.Errorf("neighbor %s is %v", a, state)
		}
		return err
	})
}

func (t *target) dial(from netip.Addr) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 5 * time.Second}
	return d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", t.port))
}

// openOf is a sound OPEN.
func openOf(from netip.Addr, as uint16, four bool) (*bgp.BGPMessage, error) {
	caps := []bgp.ParameterCapabilityInterface{
		bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC), bgp.NewCapRouteRefresh(), bgp.NewCapExtendedMessage(),
	}
	if four {
		caps = append(caps, bgp.NewCapFourOctetASNumber(uint32(as)))
	}
	return bgp.NewBGPOpenMessage(as, 3600, from, []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
}

// greet brings a session up.
func greet(c net.Conn, open *bgp.BGPMessage) error {
	return errors.Join(write(c, open), read(c), write(c, bgp.NewBGPKeepAliveMessage()), read(c))
}

func (t *target) witness(from netip.Addr, four bool) error {
	if err := t.admits(from, t.speaker.running.AS); err != nil {
		return err
	}
	c, err := t.dial(from)
	if err != nil {
		return err
	}
	open, err := openOf(from, uint16(t.speaker.running.AS), four) //nolint:gosec // 64512
	if err == nil {
		err = greet(c, open)
	}
	if err != nil {
		return err
	}
	w := &witness{ended: make(chan struct{})}
	t.witnesses = append(t.witnesses, w)
	go func() {
		defer close(w.ended)
		for {
			if err := read(c); err != nil {
				return
			}
			w.updates.Add(1)
		}
	}()
	return nil
}

// attack has one session in which, after a sound OPEN or the one given, all of the
// messages are said. It returns when the target is through with them, and what the
// target says of it.
func (t *target) attack(four bool, open []byte, messages ...[]byte) (journal.Heard, error) {
	n := t.attackers.Add(1)
	from := netip.AddrFrom4([4]byte{127, 1 + byte(n>>16), byte(n >> 8), byte(n)})
	if err := t.admits(from, 65001); err != nil {
		return journal.Heard{}, err
	}
	c, err := t.dial(from)
	if err != nil {
		return journal.Heard{}, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if open == nil {
		sound, err := openOf(from, 65001, four)
		if err == nil {
			err = greet(c, sound)
		}
		if err != nil {
			return journal.Heard{}, err
		}
	} else {
		messages = append([][]byte{open, frame(bgp.BGP_MSG_KEEPALIVE)}, messages...)
	}
	for _, m := range messages {
		_, _ = c.Write(m) // it may have had enough already
	}
	// It goes through what it was told in order; the last is a farewell.
	_, _ = c.Write(frame(bgp.BGP_MSG_NOTIFICATION, bgp.BGP_ERROR_CEASE, bgp.BGP_ERROR_SUB_ADMINISTRATIVE_RESET))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) {
		return journal.Heard{}, fmt.Errorf("attacker %s: not through after 10 s: %w", from, err)
	}
	h := t.speaker.journal.About(from)
	err = t.speaker.gobgp.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: from.String()})
	t.speaker.journal.Forget(from)
	return h, err
}

// lives says whether nobody but attackers came to harm: both witnesses have their
// session, and hear of a route that comes now.
func (t *target) lives() error {
	p := prefixes("10.0.99.0/24")
	counts := make([]int32, len(t.witnesses))
	for i, w := range t.witnesses {
		counts[i] = w.updates.Load()
	}
	if err := t.speaker.announce(nil, p); err != nil {
		return err
	}
	err := poll(5*time.Second, func() error {
		for i, w := range t.witnesses {
			select {
			case <-w.ended:
				return fmt.Errorf("the session of witness %d ended", i)
			default:
			}
			if w.updates.Load() == counts[i] {
				return fmt.Errorf("witness %d hears nothing", i)
			}
		}
		return nil
	})
	return errors.Join(err, t.speaker.announce(p, nil))
}

func victimOf(t testing.TB) *target {
	t.Helper()
	v, err := victim()
	if err != nil {
		t.Fatal(err)
	}
	return v
}
