package network

import "github.com/flocknet/flock/internal/pool"

// Alloc is the kind of a pool network that only allocates subnets. Something else makes
// the routes: a cloud's route table, a routing daemon.
const Alloc = "alloc"

func allocKind() *Kind { return poolKind(Alloc, pool.Backend{}, routeAlloc) }

func routeAlloc(*pool.Pool, *pool.Member) {}
