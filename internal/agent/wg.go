//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
)

// wireguard is the part of a Kernel that WireGuard devices need: nothing is opened
// before one is looked at or made.
type wireguard struct {
	devices wgDevices
	hung    map[uint16]bool // ports of devices of ours whose processes are there and did not answer at the last look
	// sessions are those that the last look found.
	sessions []spec.Session
	// pointed are the endpoints that were set since Open, as wanted.
	pointed map[peerKey]string
	names   map[string]answer // of resolvers, by endpoint
	// confirmed are the endpoints of the last confirmed spec, nil before the first
	// look. It is empty when a change was cut short: nobody knows then which of its
	// endpoints were set.
	confirmed map[peerKey]string
}

// wgDevice reads a device; nil where it is in userspace and its process does not
// answer.
func (k *Kernel) wgDevice(name string) (*wgtypes.Device, error) {
	d, err := k.wg.devices.Device(name)
	if err != nil && k.userspace(name) && silent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read WireGuard device %s: %w", name, err)
	}
	return d, nil
}

// silent says whether err means that nobody listens at a userspace device's socket, or
// says anything.
func silent(err error) bool {
	for _, is := range []error{os.ErrNotExist, os.ErrDeadlineExceeded, unix.ECONNREFUSED, unix.ECONNRESET, unix.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// userspace says whether the device is a TUN device.
func (k *Kernel) userspace(name string) bool {
	_, tun := k.devices.byName[name].(*netlink.Tuntap)
	return tun
}

// kindOf is the kind of a link of ours in spec's words. Of TUN devices the process
// behind it tells.
func (k *Kernel) kindOf(l netlink.Link) string {
	if _, tun := l.(*netlink.Tuntap); !tun {
		return l.Type()
	}
	if k.services.runsUDP(l.Attrs().Name) {
		return spec.UDP
	}
	return spec.WireGuard
}

// observeWireGuard completes have.Links and fills have.Peers.
func (k *Kernel) observeWireGuard(want, have *spec.Host) error {
	k.wg.hung, k.wg.sessions = map[uint16]bool{}, nil
	if err := k.readConfirmed(); err != nil {
		return err
	}
	wanted := map[peerKey]spec.Peer{}
	for _, p := range want.Peers {
		wanted[keyPeer(p)] = p
	}
	for i := range have.Links {
		l := &have.Links[i]
		if l.Kind != spec.WireGuard {
			continue
		}
		d, err := k.wgDevice(l.Name)
		if err != nil {
			return err
		}
		if d == nil { // without key and port it differs from all that is wanted
			k.silentPort(k.services.wgDaemon(l.Name, ""), l.Name)
			continue
		}
		if d.PrivateKey != (wgtypes.Key{}) {
			l.Key = d.PublicKey.String()
		}
		l.Port = uint16(d.ListenPort)
		for _, p := range d.Peers {
			have.Peers = append(have.Peers, k.observePeer(l.Name, p, wanted))
			k.wg.sessions = append(k.wg.sessions, sessionOf(l.Name, p))
		}
	}
	k.wg.sessions = orderedBy(k.wg.sessions, func(s spec.Session) string { return s.Link + " " + s.Key })
	return nil
}

// silentPort notes the port that a device's process d holds, if it is there: the one that
// was confirmed. It does not answer, so that nobody else can say.
func (k *Kernel) silentPort(d unit.Daemon, device string) {
	last := k.services.last()
	if last == nil || k.services.units.PID(d) == 0 {
		return
	}
	for _, l := range last.Links {
		if l.Name == device {
			k.wg.hung[portOf(l)] = true
		}
	}
}

func sessionOf(link string, p wgtypes.Peer) spec.Session {
	out := spec.Session{Link: link, Key: p.PublicKey.String(), Received: p.ReceiveBytes, Sent: p.TransmitBytes}
	if p.LastHandshakeTime.Unix() > 0 { // none is the start of 1970, or no time
		out.Handshake = p.LastHandshakeTime
	}
	if p.Endpoint != nil {
		out.Endpoint = unmapped(p.Endpoint.AddrPort()).String()
	}
	return out
}

func (k *Kernel) observePeer(link string, p wgtypes.Peer, wanted map[peerKey]spec.Peer) spec.Peer {
	out := spec.Peer{
		Link: link, Key: p.PublicKey.String(), Allowed: toAllowed(p.AllowedIPs),
		Keepalive: int(p.PersistentKeepaliveInterval / time.Second), Preshared: p.PresharedKey != (wgtypes.Key{}),
	}
	if p.Endpoint != nil {
		out.Endpoint = p.Endpoint.String()
	}
	if w, ok := wanted[keyPeer(out)]; ok {
		out.Endpoint = k.endpointAs(w, out.Endpoint)
	}
	return out
}

// endpointAs says where a peer was sent, which is not where it is: a peer that
// moves takes its endpoint along, and that must stay. The answer is in the words of
// the spec: a name stays a name.
func (k *Kernel) endpointAs(want spec.Peer, have string) string {
	key := keyPeer(want)
	if want.Endpoint == "" {
		return "" // who speaks first is known from then on
	}
	if set, ok := k.wg.pointed[key]; ok {
		return set
	}
	if sent, ok := k.wg.confirmed[key]; ok && sent != "" && have != "" {
		return sent
	}
	return have
}

// readConfirmed looks once, before this session changes anything.
func (k *Kernel) readConfirmed() error {
	if k.wg.confirmed != nil {
		return nil
	}
	last := k.services.last()
	k.wg.confirmed, k.wg.pointed = map[peerKey]string{}, map[peerKey]string{}
	if last == nil || k.services.begun() {
		return nil
	}
	for _, p := range last.Peers {
		k.wg.confirmed[keyPeer(p)] = p.Endpoint
	}
	return nil
}

func toAllowed(list []net.IPNet) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range list {
		out = append(out, toPrefix(&n))
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// setDevice gives a device what differs of key and port. The kernel ends all
// sessions with a new key; a new port leaves them.
func (k *Kernel) setDevice(want, have spec.Link) error {
	var config wgtypes.Config
	if want.Key != have.Key {
		private, err := k.services.privateKey(want.Name, want.Key)
		if err != nil {
			return err
		}
		config.PrivateKey = &private
	}
	if want.Port != have.Port {
		port := int(want.Port)
		config.ListenPort = &port
	}
	return k.configure(want.Name, config)
}

func (k *Kernel) configure(name string, config wgtypes.Config) error {
	if err := k.wg.devices.ConfigureDevice(name, config); err != nil {
		return fmt.Errorf("set up WireGuard device %s: %w", name, err)
	}
	return nil
}

// setPeers does what ops say, each device's in one call. Peers that ops do not
// name are not touched.
func (k *Kernel) setPeers(ctx context.Context, ops []Op) error {
	configs := map[string][]wgtypes.PeerConfig{}
	k.learnNames(ctx, pointing(ops))
	for _, op := range ops {
		want, wanted := op.Want.(spec.Peer)
		have, found := op.Have.(spec.Peer)
		p := want
		if !wanted {
			p = have
		}
		key, err := wgtypes.ParseKey(p.Key)
		if err != nil {
			return fmt.Errorf("read the key of a peer of %s: %w", p.Link, err)
		}
		config := wgtypes.PeerConfig{PublicKey: key}
		switch {
		case !wanted:
			config.Remove, config.UpdateOnly = true, true
		default:
			config.UpdateOnly = found
			k.peerConfig(&config, want, have, 0)
		}
		configs[p.Link] = append(configs[p.Link], config)
	}
	for link, peers := range configs {
		if err := k.configure(link, wgtypes.Config{Peers: peers}); err != nil {
			return err
		}
	}
	return nil
}

// peerConfig fills in what differs; have is zero for a new peer. Of the addresses of
// an endpoint it takes the one whose turn it is.
func (k *Kernel) peerConfig(c *wgtypes.PeerConfig, want, have spec.Peer, turn int) {
	if want.Keepalive != have.Keepalive {
		every := time.Duration(want.Keepalive) * time.Second
		c.PersistentKeepaliveInterval = &every
	}
	if have.Preshared {
		c.PresharedKey = &wgtypes.Key{}
	}
	// Packets find no peer while its prefixes are replaced: what only comes is added.
	c.ReplaceAllowedIPs = slices.ContainsFunc(have.Allowed, func(p netip.Prefix) bool { return !slices.Contains(want.Allowed, p) })
	for _, p := range want.Allowed {
		if c.ReplaceAllowedIPs || !slices.Contains(have.Allowed, p) {
			c.AllowedIPs = append(c.AllowedIPs, net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
		}
	}
	if want.Endpoint == have.Endpoint || want.Endpoint == "" {
		return
	}
	k.wg.pointed[keyPeer(want)] = want.Endpoint
	if list := k.addrsOf(want.Endpoint); len(list) > 0 {
		c.Endpoint = net.UDPAddrFromAddrPort(list[turn%len(list)])
	}
}

var peerFamily = family{
	stage: stageMake, what: "WireGuard devices",
	observe: func(_ context.Context, k *Kernel, want, have *spec.Host) error { return k.observeWireGuard(want, have) },
	diff:    func(d *difference) { d.put(comparePeers(d.want.Peers, d.have.Peers), going, coming) },
	standsOn: func(have *spec.Host, vanish map[string]bool) {
		have.Peers = slices.DeleteFunc(slices.Clone(have.Peers), func(p spec.Peer) bool { return vanish[p.Link] })
	},
	all:    func(ctx context.Context, a *applier, ops []Op) error { return a.k.setPeers(ctx, ops) },
	status: func(k *Kernel, plan *spec.Plan) { plan.Sessions = k.wg.sessions },
	tried: tried{ask: func(ctx context.Context, k *Kernel, _ *spec.Host, ops []Op) []spec.Problem {
		return k.unresolved(ctx, ops)
	}},
}
