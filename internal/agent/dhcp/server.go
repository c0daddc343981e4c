//go:build linux

package dhcp

import (
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/agent/written"
)

// Server is what serves the containers of one cluster's networks on this server. It belongs
// to one goroutine.
type Server struct {
	// Untouched are the networks in which no server ever handed out, by the request: nobody
	// is asked there who has an address already.
	Untouched []string

	has   written.Cluster
	units *unit.Cluster
	there []string // networks that the last Observe found here; nil: there was none
	// inherited are leases for networks that this server serves from now on, or
	// again, by network: the text of dnsmasq's lease file.
	inherited map[string]string
}

// New returns what serves the cluster called cluster. What outlives a reboot is in the
// directory dir, pid files and the like are in run. Nothing is read.
func New(cluster, dir, run string, units *unit.Cluster) *Server {
	return &Server{has: written.Cluster{Name: cluster, Dir: dir, Run: run}, units: units}
}
