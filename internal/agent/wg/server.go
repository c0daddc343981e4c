//go:build linux

package wg

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/flocknet/flock/internal/spec"
)

// Server is the WireGuard devices of a server as one agent sees them. Nothing is opened
// before a device is looked at or made.
type Server struct {
	devices   Devices
	userspace func(device string) bool
	sessions  []spec.Session    // of the last Observe
	names     map[string]answer // of resolvers, by endpoint
	// pointed are the endpoints that were set since New, in the words of the spec.
	pointed map[peerKey]string
	// confirmed are the endpoints of the last confirmed spec, nil before Confirmed.
	confirmed map[peerKey]string
}

// NewServer returns the devices of this server. Userspace says whether a device is one in
// userspace. Close it.
func NewServer(userspace func(device string) bool) *Server { return &Server{userspace: userspace} }

// Close closes what was opened; nothing on the server changes.
func (s *Server) Close() error { return s.devices.Close() }

// Sessions are those that the last Observe found, sorted by device and key.
func (s *Server) Sessions() []spec.Session { return s.sessions }

type peerKey struct{ link, key string }

func keyPeer(p spec.Peer) peerKey { return peerKey{p.Link, p.Key} }

// Device reads a device. It is nil where it is in userspace and its process does not
// answer.
func (s *Server) Device(name string) (*wgtypes.Device, error) {
	d, err := s.devices.Device(name)
	if err != nil && s.userspace(name) && Silent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read WireGuard device %s: %w", name, err)
	}
	return d, nil
}

// Observe completes the WireGuard devices of have.Links and fills in have.Peers. It calls
// silent for each device whose process does not answer: without key and port such a device
// differs from all that is wanted. Confirmed must have been called before.
func (s *Server) Observe(want, have *spec.Host, silent func(device string)) error {
	s.sessions = nil
	sessions := map[string]spec.Session{} // by device and key: to sort strings makes no code of its own
	wanted := map[peerKey]spec.Peer{}
	for _, p := range want.Peers {
		wanted[keyPeer(p)] = p
	}
	for i := range have.Links {
		l := &have.Links[i]
		if l.Kind != spec.WireGuard {
			continue
		}
		d, err := s.Device(l.Name)
		if err != nil {
			return err
		}
		if d == nil {
			silent(l.Name)
			continue
		}
		if d.PrivateKey != (wgtypes.Key{}) {
			l.Key = d.PublicKey.String()
		}
		l.Port = uint16(d.ListenPort)
		for _, p := range d.Peers {
			have.Peers = append(have.Peers, s.observePeer(l.Name, p, wanted))
			sessions[l.Name+" "+p.PublicKey.String()] = SessionOf(l.Name, p)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(sessions)) {
		s.sessions = append(s.sessions, sessions[key])
	}
	return nil
}

// SessionOf is what a device says about a peer, in the words of spec.
func SessionOf(link string, p wgtypes.Peer) spec.Session {
	out := spec.Session{Link: link, Key: p.PublicKey.String(), Received: p.ReceiveBytes, Sent: p.TransmitBytes}
	if p.LastHandshakeTime.Unix() > 0 { // none is the start of 1970, or no time
		out.Handshake = p.LastHandshakeTime
	}
	if p.Endpoint != nil {
		out.Endpoint = unmapped(p.Endpoint.AddrPort()).String()
	}
	return out
}

func (s *Server) observePeer(link string, p wgtypes.Peer, wanted map[peerKey]spec.Peer) spec.Peer {
	out := spec.Peer{
		Link: link, Key: p.PublicKey.String(), Allowed: toAllowed(p.AllowedIPs),
		Keepalive: int(p.PersistentKeepaliveInterval / time.Second), Preshared: p.PresharedKey != (wgtypes.Key{}),
	}
	if p.Endpoint != nil {
		out.Endpoint = p.Endpoint.String()
	}
	if w, ok := wanted[keyPeer(out)]; ok {
		out.Endpoint = s.endpointAs(w, out.Endpoint)
	}
	return out
}

// endpointAs is the endpoint that was set for a peer, which is not the one that it has now:
// if a peer roams, the device keeps the learned address. The result is in the words of the
// spec: a name stays a name.
func (s *Server) endpointAs(want spec.Peer, have string) string {
	key := keyPeer(want)
	if want.Endpoint == "" {
		return "" // a peer that begins the handshake is known from then on
	}
	if set, ok := s.pointed[key]; ok {
		return set
	}
	if sent, ok := s.confirmed[key]; ok && sent != "" && have != "" {
		return sent
	}
	return have
}

// Confirmed tells s, once and before it changes anything, the peers of the spec that was
// last confirmed, as peers returns them: none where a change was cut short, since nobody
// knows which endpoints it set.
func (s *Server) Confirmed(peers func() []spec.Peer) {
	if s.confirmed != nil {
		return
	}
	s.confirmed, s.pointed = map[peerKey]string{}, map[peerKey]string{}
	for _, p := range peers() {
		s.confirmed[keyPeer(p)] = p.Endpoint
	}
}

func toAllowed(list []net.IPNet) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range list {
		bits, _ := n.Mask.Size()
		a, _ := netip.AddrFromSlice(n.IP)
		out = append(out, netip.PrefixFrom(a.Unmap(), bits))
	}
	spec.SortPrefixes(out)
	return out
}

// SetDevice sets the key and the port of a device where they differ. A new key ends all
// sessions, a new port none.
func (s *Server) SetDevice(keys *Keys, want, have spec.Link) error {
	var config wgtypes.Config
	if want.Key != have.Key {
		private, err := keys.Private(want.Name, want.Key)
		if err != nil {
			return err
		}
		config.PrivateKey = &private
	}
	if want.Port != have.Port {
		port := int(want.Port)
		config.ListenPort = &port
	}
	return s.configure(want.Name, config)
}

func (s *Server) configure(name string, config wgtypes.Config) error {
	if err := s.devices.ConfigureDevice(name, config); err != nil {
		return fmt.Errorf("set up WireGuard device %s: %w", name, err)
	}
	return nil
}

// Change is what differs of one peer: Want is nil where it is to be removed, Have where it
// is new.
type Change struct{ Want, Have *spec.Peer }

// SetPeers makes changes, those of a device in one call. Peers that they do not name are
// not touched.
func (s *Server) SetPeers(ctx context.Context, changes []Change) error {
	configs := map[string][]wgtypes.PeerConfig{}
	s.Learn(ctx, endpointsOf(changes))
	for _, c := range changes {
		p, have := c.Want, spec.Peer{}
		if c.Have != nil {
			have = *c.Have
		}
		if p == nil {
			p = c.Have
		}
		key, err := wgtypes.ParseKey(p.Key)
		if err != nil {
			return fmt.Errorf("read the key of a peer of %s: %w", p.Link, err)
		}
		config := wgtypes.PeerConfig{PublicKey: key}
		if c.Want == nil {
			config.Remove, config.UpdateOnly = true, true
		} else {
			config.UpdateOnly = c.Have != nil
			s.peerConfig(&config, *c.Want, have, 0)
		}
		configs[p.Link] = append(configs[p.Link], config)
	}
	for link, peers := range configs {
		if err := s.configure(link, wgtypes.Config{Peers: peers}); err != nil {
			return err
		}
	}
	return nil
}

// peerConfig fills in what differs; have is zero for a new peer. Of the addresses of an
// endpoint it takes number turn, modulo how many there are.
func (s *Server) peerConfig(c *wgtypes.PeerConfig, want, have spec.Peer, turn int) {
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
	s.pointed[keyPeer(want)] = want.Endpoint
	if list := s.addrsOf(want.Endpoint); len(list) > 0 {
		c.Endpoint = net.UDPAddrFromAddrPort(list[turn%len(list)])
	}
}
