package network

import "github.com/flocknet/flock/internal/pool"

// GCE is the kind of a pool network whose packets travel as they are, by the routes of a network
// of Google Compute Engine: one for each member's subnet leads to its instance.
const GCE = "gce"

func gceKind() *Kind {
	return poolKind(GCE, pool.Backend{Routes: true, Cloud: "gce"}, routeCloud, "project")
}
