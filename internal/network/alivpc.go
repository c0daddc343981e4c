package network

import "github.com/flocknet/flock/internal/pool"

// AliVPC is the kind of a pool network whose packets travel as they are, by the route tables of
// a VPC of Alibaba Cloud: a row for each member's subnet leads to its instance.
const AliVPC = "ali-vpc"

func aliVPCKind() *Kind {
	return poolKind(AliVPC, pool.Backend{Routes: true, Cloud: "ali"}, routeCloud, "route-table", "region", "profile")
}
