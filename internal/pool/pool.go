package pool

import (
	"github.com/flocknet/flock/internal/state"
)

// A pool network cuts its subnet into one container subnet per member and routes packets
// between them. How is up to its backend: there is one kind per backend, and changetype
// replaces it. A CNI plugin or Docker attaches the containers, unless the network has a
// bridge.

// Backend is what the kinds of pool networks differ in.
type Backend struct {
	Port       uint16 // UDP port; 0: it has none
	VNI        uint32 // VNI; 0: it has none
	Direct     bool   // --direct-routing makes sense
	V4         bool   // carries IPv4 in IPv4 only
	Routes     bool   // brings packets to the others at all
	Over4      int    // bytes of encapsulation in an IPv4 underlay
	Over6      int    // in IPv6
	Wire, Mark string // what the encapsulation is called; the end of its device's name
	Adjacent   bool   // every member must be on one segment with every other
	Cloud      string // packets to others leave by the default route, and the route tables of this cloud do the rest; "": none
	// apart refuses members that networks of the kind cannot share; nil: they can.
	Apart func(n *state.Network, others map[string]*state.Network) error
}
