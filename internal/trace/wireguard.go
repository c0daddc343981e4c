package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flocknet/flock/internal/spec"
)

// wireguard takes a packet through a WireGuard device: the peer whose allowed IPs have it.
func (w *walker) wireguard(server string, dev *link, p packet) {
	network := w.network(server, dev.Name)
	if w.foreign(server, network, dev) {
		return
	}
	f := w.wgPeers(server)
	if f == nil {
		return
	}
	i := slices.IndexFunc(f.WG, func(l spec.Link) bool { return l.Name == dev.Name })
	if i < 0 || f.WG[i].Key == "" {
		w.fail(server, "device "+dev.Name, applyOf(network), "it has no key, or the process behind it does not answer")
		return
	}
	peer, to := w.peerFor(server, dev.Name, network, p.dst)
	if peer == nil {
		w.fail(server, "peer of "+dev.Name, applyOf(network), "no peer has %s among its allowed IPs: %s", p.dst, w.missingPeer(server, dev.Name, p.dst))
		return
	}
	who := cmp.Or(to, spec.ShortKey(peer.Key))
	var session spec.Session
	for _, s := range f.Sessions {
		if s.Link == dev.Name && s.Key == peer.Key {
			session = s
		}
	}
	says := "no handshake yet"
	if !session.Handshake.IsZero() {
		says = "handshake " + ago(f.Clock-session.Handshake.Unix()) + " ago"
	}
	at, err := netip.ParseAddrPort(cmp.Or(session.Endpoint, peer.Endpoint))
	if err != nil {
		w.fail(server, "peer "+who, "flock status "+network, "it has no endpoint, and %s: %s must begin, or be reached at an address", says, who)
		return
	}
	w.ok(server, "peer "+who, "has %s, at %s, %s", allowing(peer, p.dst), at, says)
	outer := packet{dst: at.Addr().Unmap(), proto: protoUDP, port: int(at.Port()), network: network, hidden: true}
	for _, q := range w.t.compiled.Hosts[server].Peers {
		if q.Link == dev.Name && q.Key == peer.Key && q.Endpoint != "" && q.Endpoint != at.String() { // it is not where it was said to be
			outer.again = "flock rotatekeys " + network + " " + to
		}
	}
	w.tunnel(server, outer, func(arrived string) { w.fromPeer(server, f.WG[i].Key, cmp.Or(to, arrived), network, p) })
}

// fromPeer takes a packet in at the other end of a WireGuard tunnel, if that knows the key.
func (w *walker) fromPeer(server, key, to, network string, p packet) {
	l := w.tunnelDevice(to, network, spec.WireGuard)
	if l == nil {
		return
	}
	g := w.wgPeers(to)
	if g == nil {
		return
	}
	i := slices.IndexFunc(g.Peers, func(q spec.Peer) bool { return q.Link == l.Name && q.Key == key })
	switch {
	case i < 0:
		w.fail(to, "peer "+server, applyOf(network), "%s has no peer with the key of %s: it takes in nothing from there", l.Name, server)
		return
	case p.src.IsValid() && allowing(&g.Peers[i], p.src) == "":
		w.fail(to, "peer "+server, applyOf(network), "%s does not allow %s from it: the packet is dropped", l.Name, p.src)
		return
	}
	what := "packets"
	if p.src.IsValid() {
		what += " from " + allowing(&g.Peers[i], p.src)
	}
	w.ok(to, "peer "+server, "%s takes in %s", l.Name, what)
	if !w.pass(to, l, false, p) {
		return
	}
	w.receive(to, l, p)
}

// peerFor is the peer with the most specific allowed IPs for an address, and its server.
func (w *walker) peerFor(server, dev, network string, a netip.Addr) (best *spec.Peer, to string) {
	f := w.base(server, "")
	longest := -1
	for i, q := range f.Peers {
		for _, allowed := range q.Allowed {
			if q.Link == dev && allowed.Contains(a) && allowed.Bits() > longest {
				longest, best = allowed.Bits(), &f.Peers[i]
			}
		}
	}
	if best != nil {
		to = w.keyOwner(network, best.Key)
	}
	return best, to
}

func (w *walker) keyOwner(network, key string) string {
	if n := w.t.c.Networks[network]; n != nil {
		for server, a := range n.Allocated {
			if a.Key == key {
				return server
			}
		}
	}
	return ""
}

// missingPeer says which peer should have an address.
func (w *walker) missingPeer(server, dev string, a netip.Addr) string {
	for _, q := range w.t.compiled.Hosts[server].Peers {
		if q.Link == dev && allowing(&q, a) != "" {
			return "that of " + cmp.Or(w.keyOwner(w.network(server, dev), q.Key), spec.ShortKey(q.Key)) + " is missing, or lacks it"
		}
	}
	return "no member shares it"
}

// allowing is the allowed prefix of a peer with an address, as text.
func allowing(q *spec.Peer, a netip.Addr) string {
	best := netip.Prefix{}
	for _, p := range q.Allowed {
		if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p
		}
	}
	if !best.IsValid() {
		return ""
	}
	return best.String()
}

// ago is an age in words.
func ago(seconds int64) string {
	switch seconds = max(seconds, 0); {
	case seconds < 120:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 7200:
		return fmt.Sprintf("%d min", seconds/60)
	}
	return fmt.Sprintf("%d h", seconds/3600)
}
