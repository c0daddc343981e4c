package link

import (
	"github.com/flocknet/flock/internal/agent/family"
	"github.com/flocknet/flock/internal/spec"
)

// comparePeers orders peers by their whole key.
func comparePeers(want, have []spec.Peer) family.Pair {
	object := func(p spec.Peer) string { return "peer " + p.Link + " " + p.Key }
	c := family.Compare(want, have, keyPeer, object)
	for _, list := range [][]family.Op{c.Gone, c.Come} {
		for i := range list {
			p, ok := list[i].Want.(spec.Peer)
			if !ok {
				p = list[i].Have.(spec.Peer)
			}
			list[i].Step.Object = p.Object()
		}
	}
	return c
}

type peerKey struct{ link, key string }

func keyPeer(p spec.Peer) peerKey { return peerKey{p.Link, p.Key} }

// short names a public key on the screen.
func short(key string) string { return spec.ShortKey(key) }
