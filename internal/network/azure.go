package network

import "github.com/flocknet/flock/internal/pool"

// Azure is the kind of a pool network whose packets travel as they are, by the route tables of a
// virtual network of Azure: a route for each member's subnet leads to its address.
const Azure = "azure"

func azureKind() *Kind {
	return poolKind(Azure, pool.Backend{Routes: true, Cloud: "azure"}, routeCloud, "route-table", "project")
}
